"""Inputs with a known right answer, from public fault reports: each is packed right, or refused with a good reason.

The folder is AVSYNC_DATA/faults; faults.csv there says of each what may be seen and heard of it.
"""

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from sharding.base.files import read_json
from sharding.config import PackConfig
from sharding.format.dataset import open_dataset
from sharding.format.records import ShardRecord, SourceRecord
from sharding.pack.pack import pack
from sharding.pack.report import PackSummary
from tests.data import DATA
from tests.sharding.conftest import QUIET

FAULTS = DATA / "faults"
pytestmark = [pytest.mark.slow, pytest.mark.data]
CONFIG = PackConfig(fps="100", size=64, val_percent=0, test_percent=0, workers=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A row of faults.csv."""

    file: str
    seconds: float
    flashes: int
    tolerance_ms: float
    yuv: tuple[float, ...]


@dataclass(kw_only=True, slots=True)
class Found:
    """Of one source, in what was packed."""

    seconds: float = 0.0
    offsets_ms: list[float] = field(default_factory=list)
    yuv: list[np.ndarray] = field(default_factory=list)


def wanted() -> Iterator[Wanted]:
    if not FAULTS.is_dir():
        return
    with (FAULTS / "faults.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if "/" not in row["file"] and " " not in row["file"]:
                yield Wanted(
                    file=row["file"],
                    seconds=float(row["seconds"]),
                    flashes=int(row["flashes"]),
                    tolerance_ms=float(row["tolerance_ms"]),
                    yuv=tuple(map(float, row["yuv"].split())),
                )


WANTED = {one.file: one for one in wanted()}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Found], PackSummary, dict[str, SourceRecord]]:
    videos, out = tmp_path_factory.mktemp("faults"), tmp_path_factory.mktemp("packed")
    for name in WANTED:
        shutil.copy(FAULTS / name, videos / name)
    summary = pack(videos, out, CONFIG, QUIET)
    dataset, found = open_dataset(out, "train"), dict[str, Found]()
    for clip in range(len(dataset.index)):
        stored = dataset.read(clip)
        meta = stored.meta()
        yuv = np.empty((meta.frames, meta.height * 3 // 2, meta.width), np.uint8)
        audio = np.empty((meta.samples, meta.channels), np.int16)
        dataset.codec.decode_video(stored.video, range(meta.frames), yuv)
        dataset.codec.decode_audio(stored.audio, 0, audio)
        one = found.setdefault(meta.source, Found())
        one.seconds += meta.frames / 100
        luma = yuv[:, :64].mean(axis=(1, 2))
        lit = luma > (luma.max() + luma.min()) / 2
        beeps = np.array(beep_starts(np.abs(audio.astype(float)).max(axis=1), meta.clock.sample_rate))
        for flash in np.flatnonzero(lit[1:] & ~lit[:-1]) + 1:
            one.offsets_ms.append(float(1000 * (beeps - flash / 100)[np.abs(beeps - flash / 100).argmin()]))
        chroma = yuv[~lit, 64:].reshape(int((~lit).sum()), 2, -1)
        one.yuv.append(np.array([yuv[~lit, :64].mean(), *chroma.mean(axis=(0, 2))]))
    records = {one.source: one for one in read_json(out / "train" / "000000.json", ShardRecord).sources}
    return found, summary, records


def beep_starts(wave: np.ndarray, rate: int) -> list[float]:
    """Seconds at which the power of 2 ms first passes a quarter of a beep's."""
    size = rate // 500
    power = np.convolve(wave**2, np.ones(size) / size)[: len(wave)]
    loud = np.flatnonzero(power > np.percentile(power, 99) / 4)
    starts = loud[np.diff(loud, prepend=-rate) > rate // 4]
    return [max(0, int(start) - size // 4) / rate for start in starts if start > rate // 50]


@pytest.mark.parametrize("name", WANTED)
def test_flash_and_beep_colour_and_length_are_as_they_should(name: str, packed):
    found, summary, _ = packed
    want = WANTED[name]
    assert not [reject for reject in summary.rejects if reject.path == name]
    one = found[name]
    assert len(one.offsets_ms) >= want.flashes  # one may fall into what is trimmed
    assert max(map(abs, one.offsets_ms)) <= want.tolerance_ms
    assert one.seconds >= want.seconds
    if want.yuv:
        assert np.abs(np.mean(one.yuv, axis=0) - want.yuv).max() <= 2


def test_the_record_of_sources_says_what_was_mended(packed):
    _, _, records = packed
    mended = {name: str(one.clock) for name, one in records.items() if str(one.clock)}
    assert "restart" in mended["07-clock-restarts.ts"]
    assert "further edit" in mended["05-edit-list-jump.mp4"]
    assert "rate" in mended["04-aac-22050-to-48000.ts"]
    assert "stray" in mended["09-stray-picture.mp4"]
    assert "00-control.mp4" not in mended
    assert "not audio" in records["10-first-track-silent.mkv"].clock.streams


def test_names_in_another_form_of_unicode_find_their_files(tmp_path: Path):
    summary = pack(FAULTS / "10-names" / "list.csv", tmp_path / "out", CONFIG, QUIET)
    assert summary.rejects == ()
    assert summary.sources == 2
