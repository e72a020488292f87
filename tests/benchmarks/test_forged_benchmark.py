"""A stranger's dataset, every checksum right: each lie here costs its clip, named by verify, too, or is refused whole.

And the fuzz of them sees what it is to see: noise, and exceptions that are no answer.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

import benchmarks.forged.trial
from benchmarks.forged.__main__ import by_family, tried
from benchmarks.forged.encodings import MADE, encoded
from benchmarks.forged.lies import LIES, lie
from benchmarks.forged.original import COUNT, FORMS, FRAMES, Forgery
from benchmarks.forged.trial import BAD, NoiseError, Trial, Verdict, read_all
from sharding.errors import AvsyncError
from sharding.verify.findings import MOST_CLIPS
from sharding.verify.verify import inspect

HARMLESS = {"tags of no UTF-8"}
"""Of the other encodings, what holds the same in the same form."""
JSON_LIES: dict[str, Any] = {
    "key": "beta-8899aabbccddeeff/00000024",
    "action": "hop",
    "first_frame": 24,
    "frames": FRAMES + 1,
    "clock": {"fps": "1/99999999999999999999999999999999999", "sample_rate": 8000},
    "clock of another rate": {"fps": "10", "sample_rate": 10**15},
    "width": 10**9,
    "height": 34,
    "channels": 2,
    "matrix": "rgb",
    "boxes": [[]] * (FRAMES - 1),
    "boxes outside": [[[0, 0, 1.5, 1]]] * FRAMES,
    "repairs": 2**70,
}
"""Field, and a word more -> what a clip's json says there."""


def judged(forgery: Forgery, folder: Path) -> dict[str, str]:
    """Clips that training skips; verify names the same ones, or the first of each file."""
    forgery.write(folder)
    skips = read_all(folder, forgery.form, opaque=False)
    found = inspect(folder, 1, decode=True, progress=Console(quiet=True)).findings
    named = {one.clip for one in found} - {""}
    assert named <= set(skips)
    assert len(named) >= min(len(skips), MOST_CLIPS)
    return skips


@pytest.mark.parametrize("form", FORMS)
def test_an_honest_dataset_is_read_and_verified(form: str, tmp_path: Path) -> None:
    assert judged(Forgery.honest(form), tmp_path / "data") == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", JSON_LIES)
def test_a_json_that_says_something_else_costs_its_clip(name: str, form: str, tmp_path: Path) -> None:
    forgery = Forgery.honest(form)
    clip = forgery.clips[0]
    about = msgspec.json.decode(clip.json)
    clip.json = msgspec.json.encode(about | {name.partition(" ")[0]: JSON_LIES[name]})
    skips = judged(forgery, tmp_path / "data")
    assert list(skips) == [clip.key]
    assert "json" in skips[clip.key]


@pytest.mark.parametrize("content", [b"", b"[" * 200_000, b"\xff\xfe\xfa\xc3\x28", b"null", b"{}"], ids=len)
def test_a_json_of_other_bytes_costs_its_clip(content: bytes, tmp_path: Path) -> None:
    forgery = Forgery.honest("raw")
    forgery.clips[4].json = content
    assert list(judged(forgery, tmp_path / "data")) == [forgery.clips[4].key]


def test_jsons_that_have_changed_places_cost_both_clips(tmp_path: Path) -> None:
    forgery = Forgery.honest("h264")
    one, other = forgery.clips[1], forgery.clips[5]
    one.json, other.json = other.json, one.json
    assert set(judged(forgery, tmp_path / "data")) == {one.key, other.key}


@pytest.mark.parametrize("member", MADE)
@pytest.mark.parametrize("form", ["h264", "raw"])
def test_pictures_and_sounds_in_another_form_cost_their_clips(member: str, form: str, tmp_path: Path) -> None:
    """All of them in one dataset after the other, nine at a time."""
    names = [name for name in MADE[member] if encoded(member, name) is not None]
    assert len(names) > len(MADE[member]) - 4, "this FFmpeg encodes most of them"
    for first in range(0, len(names), COUNT):
        forgery, some = Forgery.honest(form), names[first : first + COUNT]
        for clip, name in zip(forgery.clips, some, strict=False):
            setattr(clip, member, encoded(member, name))
        wanted = {
            clip.key for clip, name in zip(forgery.clips, some, strict=False) if form == "raw" or name not in HARMLESS
        }
        assert set(judged(forgery, tmp_path / f"{first}")) == wanted, some


@pytest.mark.parametrize("name", ["json_bytes", "video_bytes", "audio_bytes"])
@pytest.mark.parametrize("form", FORMS)
def test_a_claim_of_gigabytes_takes_no_memory(name: str, form: str, tmp_path: Path) -> None:
    forgery = Forgery.honest(form)

    def claim(columns: dict[str, np.ndarray]) -> None:
        columns[name][-1] = 3_500_000_000

    forgery.on_columns.append(claim)
    forgery.write(tmp_path / "data")
    with (tmp_path / "data" / "train" / "000001.tar").open("r+b") as tar:
        tar.truncate(8 * 2**30)
    skips = read_all(tmp_path / "data", form, opaque=False)
    assert list(skips) == [forgery.clips[-1].key]
    assert "the index says 3500000000 bytes" in skips[forgery.clips[-1].key]


INFO_LIES: dict[str, Any] = {
    "fps": {"clock": {"fps": "1/99999999999999999999999999999999999", "sample_rate": 8000}},
    "faster": {"clock": {"fps": "241", "sample_rate": 8000}},
    "rate": {"clock": {"fps": "10", "sample_rate": 10**15}},
    "side": {"width": 10**9},
    "odd side": {"height": 33},
    "clips": {"clips": {"train": 2**60}},
    "fewer clips": {"clips": {"train": 8}},
    "no such split": {"clips": {"train": 9, "more": 1}},
    "shards": {"shards": {"train": 10**12}},
    "sources": {"sources": -1},
    "actions": {"actions": [str(number) for number in range(100_000)]},
    "actions twice": {"actions": ["drum", "drum"]},
    "version": {"format_version": 10**30},
}


@pytest.mark.parametrize("name", INFO_LIES)
def test_a_dataset_json_that_no_dataset_has_is_refused_in_a_short_line(name: str, tmp_path: Path) -> None:
    forgery = Forgery.honest("raw")
    forgery.info |= INFO_LIES[name]
    forgery.write(tmp_path)
    with pytest.raises(AvsyncError) as caught:
        read_all(tmp_path, "raw", opaque=False)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path)) * 2


def test_a_dataset_json_or_index_of_any_length_is_not_read(tmp_path: Path) -> None:
    for name in ("dataset.json", "train/index.npz"):
        folder = tmp_path / name.replace("/", "-")
        Forgery.honest("raw").write(folder)
        with (folder / name).open("r+b") as file:
            file.truncate(2**40)
        with pytest.raises(AvsyncError, match=r"is damaged.*: it has (1099511627776 bytes|1\.1 TB)"):
            read_all(folder, "raw", opaque=False)


def test_lies_come_from_the_seed_alone_and_each_family_has_its_turn(tmp_path: Path) -> None:
    def told(number: int) -> tuple[str, str]:
        return lie(Forgery.honest("h264"), np.random.default_rng((0, number)))

    first = [told(number) for number in range(60)]
    assert first == [told(number) for number in range(60)]
    assert {family for family, _ in first} >= set(LIES) - {"sparse"}


def test_noise_and_bugs_are_seen_and_honest_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forgery = Forgery.honest("raw")
    clip = forgery.clips[0]
    clip.audio = clip.audio[:-2000] + bytes(2000)[::-1] if clip.audio else b""
    clip.audio = clip.audio[:200] + clip.audio[200:][::-1]
    forgery.write(tmp_path / "noise")
    with pytest.raises(NoiseError, match="sound of"):
        read_all(tmp_path / "noise", "raw", opaque=False)

    trial = Trial(seed=0, number=-1, folder=tmp_path)
    assert trial.run(lambda *_: None).verdict is Verdict.READ

    def bug(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(benchmarks.forged.trial, "read_all", bug)
    outcome = Trial(seed=0, number=-2, folder=tmp_path).run(lambda *_: None)
    assert (outcome.verdict, "KeyError" in outcome.why) == (Verdict.CRASH, True)


def test_some_of_the_fuzz_ends_well(tmp_path: Path) -> None:
    trials = [Trial(seed=1, number=number, folder=tmp_path / "work") for number in range(-len(FORMS), 24)]
    outcomes = tried(trials, 1, tmp_path / "keep", always=False)
    assert not [(trial.number, one) for trial, one in outcomes.items() if one.verdict in BAD]
    assert by_family(outcomes).rows[-1][:2] == ("all", str(len(trials)))
    assert not (tmp_path / "keep").exists()
