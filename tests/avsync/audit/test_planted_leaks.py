"""Leaks that are planted in generated scenes are found on real labels, by verdict; without them nothing is."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from planted import Change, counter_and_tone, falling_level, frame_counter, make, marker_tone, nothing, silent_start

from avsync.audit import evidence
from avsync.audit.config import AuditConfig
from avsync.audit.probes import PROBES, run_probes
from avsync.audit.result import Verdict
from avsync.audit.verdicts import judge, strictness
from avsync.config import PairConfig, PairsName, ViewConfig
from avsync.data.batch import Batch
from avsync.loading.feed import Feed
from sharding.format.clip import Clock

pytestmark = pytest.mark.slow
Planted = Callable[..., Path]
SOURCES = 80


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A dataset with something planted; each is made once."""

    @cache
    def dataset(change: Change, trim_s: str = "0.25") -> Path:
        return make(tmp_path_factory.mktemp(change.__name__), change, trim_s=trim_s, count=SOURCES)

    return dataset


def found(
    dataset: Path, law: PairsName, *, window_s: float = 2, mute: int = 0, per_clip: int = 4, seed: int = 0
) -> dict[str, Verdict]:
    """Probes that do not pass, with their verdict."""
    pairs = PairConfig(law=law, window_s=window_s, min_shift_s=1, max_shift_s=3, mute_samples=mute)
    config = AuditConfig(pairs=pairs, pairs_per_clip=per_clip, device="cpu", seed=seed)
    feed = Feed.open(dataset, "train", pairs, ViewConfig())
    with torch.random.fork_rng([]):
        guesses = list(run_probes(feed, config, strictness(len(PROBES), SOURCES), lambda *_: None))
    verdicts: dict[str, Verdict] = {one.probe: judge(one, law).verdict for one in guesses}
    return {probe: verdict for probe, verdict in verdicts.items() if verdict != "pass"}


@pytest.mark.parametrize("seed", range(4))
def test_a_clean_dataset_passes_with_any_draw_of_clips_pairs_places_and_probes(planted: Planted, seed: int):
    assert not found(planted(nothing), "symmetric", per_clip=1, seed=seed)


def test_a_cyclic_shift_fails(planted: Planted):
    assert found(planted(nothing), "cyclic")["ends meet"] == "fail"


def faded(batch: Batch, clock: Clock, fade_ms: int) -> None:
    """Each join, on the way from the loader to the probes: down to nothing and up again within so many milliseconds."""
    half = clock.sample_rate * fade_ms / 2000
    for row, draw in enumerate(batch.draws):
        for number, sound in enumerate(draw.pair.sounds):
            if sound.roll:
                away = (torch.arange(batch.audio.shape[2]) - clock.sample_at(sound.roll)).abs()
                gain = (away / half).clamp(max=1)[:, None]
                batch.audio[row, number] = (batch.audio[row, number] * gain).to(torch.int16)


@pytest.mark.parametrize("fade_ms", [20, 100])
def test_a_cyclic_shift_whose_join_is_faded_fails_all_the_more(
    planted: Planted, monkeypatch: pytest.MonkeyPatch, fade_ms: int
):
    keep = evidence.keep
    clock = Feed.open(planted(nothing), "train", PairConfig(window_s=2, min_shift_s=1), ViewConfig()).dataset.info.clock

    def kept(batch: Batch, rate: int, mute_samples: int) -> evidence.Looked:
        faded(batch, clock, fade_ms)
        return keep(batch, rate, mute_samples)

    monkeypatch.setattr(evidence, "keep", kept)
    verdicts = found(planted(nothing), "cyclic")
    assert verdicts["quietest 6 ms"] == verdicts["ends meet"] == "fail"


def test_a_silence_at_the_start_of_the_file_makes_a_cyclic_shift_plain(planted: Planted):
    verdicts = found(planted(silent_start, "0"), "cyclic", window_s=6.5)
    assert verdicts["quiet start"] == verdicts["quiet lead-in"] == verdicts["sound alone"] == "fail"


def test_a_soft_tone_in_the_first_second_is_warned_of(planted: Planted):
    assert found(planted(marker_tone), "symmetric") in (
        {"place of the sound": "warning"},
        {"place of the sound": "fail"},
    )


@pytest.mark.parametrize(
    ("change", "probe"), [(falling_level, "place of the sound"), (frame_counter, "place of the picture")]
)
def test_a_place_that_one_stream_shows_plainly_fails_though_it_is_no_label(
    planted: Planted, change: Change, probe: str
):
    assert found(planted(change), "symmetric") == {probe: "fail"}


def test_places_that_both_streams_show_fail(planted: Planted):
    verdicts = found(planted(counter_and_tone), "symmetric")
    assert verdicts == dict.fromkeys(("place of the sound", "place of the picture", "places in both"), "fail")
