"""What the benchmarks of loading and resuming conclude from what they have seen."""

import io
import mmap
import re

import psutil
import pytest
from rich.console import Console

from benchmarks.base.runner import Rounds
from benchmarks.load.catalog import ENTRIES, OURS, TARGETS
from benchmarks.load.report import Case, Results, tables
from benchmarks.load.run import Loaded
from benchmarks.load.traffic import Traffic
from benchmarks.peers.install import PEERS
from benchmarks.resume.report import times, verdict
from benchmarks.resume.start import STARTERS, Times

OURS_RAW, THEIRS = Case(way="avsync raw", workers=2), Case(way="webdataset raw", workers=2)
WANTED = [["a", "b"], ["c", "d"]]


def loaded(clips_s: float) -> Loaded:
    return Loaded(clips_s=clips_s, mb_s=9 * clips_s, cpu_ms=2, first_s=0.25, peak_mb=800, read=1, fresh=0)


def results(*rounds: tuple[float | None, float | None]) -> Results:
    found = Results()
    for ours, theirs in rounds:
        found.add(OURS_RAW, loaded(ours) if ours else None)
        found.add(THEIRS, loaded(theirs) if theirs else None)
    return found


def test_a_ratio_is_taken_within_its_round_so_that_a_slow_machine_does_not_show():
    found = results((600, 100), (60, 10), (1200, 100))
    assert found.ratios(OURS_RAW, THEIRS, lambda one: one.clips_s) == [6, 6, 12]


def test_a_round_in_which_one_failed_gives_no_ratio_and_leaves_the_other_its_figure():
    found = results((600, 100), (500, None), (700, 70))
    assert found.ratios(OURS_RAW, THEIRS, lambda one: one.clips_s) == [6, 10]
    assert found.median(OURS_RAW, lambda one: one.clips_s) == 600
    assert found.median(THEIRS, lambda one: one.clips_s) == 85


@pytest.mark.parametrize(("ours", "reached"), [(500, "yes"), (499, "no")])
def test_a_target_is_reached_when_the_median_is_what_was_wanted(ours, reached):
    *_, wanted = tables(results((ours, 100), (ours, 100), (9000, 100)), {})
    row = wanted.rows[0]
    assert row[:2] == ("avsync raw / webdataset raw", ">= 5")
    assert row[-1] == reached


def test_a_way_that_never_worked_is_listed_as_failed():
    figures, _ = tables(results((500, None)), {})
    assert figures.rows[1] == ("webdataset raw", "failed", *[""] * (len(figures.columns) - 2))


def test_what_a_process_reads_and_the_memory_it_asks_for_are_counted(tmp_path):
    size = 2**24
    (tmp_path / "file").write_bytes(bytes(size))
    before = Traffic.so_far([psutil.Process()])
    with (tmp_path / "file").open("rb", buffering=0) as file:
        memory = mmap.mmap(-1, size)
        assert file.readinto(memory) == size
    moved = Traffic.so_far([psutil.Process()]).since(before)
    assert size <= moved.read < 1.5 * size
    assert moved.fresh > 0.9 * size  # counts of each core are added up now and then


def test_a_table_reads_the_same_on_a_page_and_in_the_terminal():
    figures, _ = tables(results((500, 100)), {})
    shown = io.StringIO()
    Console(file=shown, width=200).print(figures.rich())
    page = [line for line in figures.markdown().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in page}) == 1
    for cell in (cell.strip() for line in (page[0], *page[2:]) for cell in line.split("|")):
        assert cell in shown.getvalue()


def test_targets_name_ways_that_there_are_and_ways_name_peers_that_are_installed():
    assert {way for target in TARGETS for way in (target.above, target.below)} <= ENTRIES.keys()
    assert all(target.above in OURS for target in TARGETS)
    assert not any(entry.peer for entry in OURS.values())
    assert all(entry.peer in {"", *PEERS} for entry in (ENTRIES | STARTERS).values())


@pytest.mark.parametrize(
    ("got", "judged"),
    [
        ([["a", "b"], ["c", "d"]], "exact"),
        ([["b", "a"], ["c", "d"]], "exact batches"),
        ([["c", "b"], ["a", "d"]], "the same clips in another order"),
        ([["a", "b"], ["c", "c"]], "of 4 clips 1 lost, 1 too many"),
        ([["a", "b"]], "of 4 clips 2 lost, 0 too many"),
        ([["a", "b"], ["c", "d"], ["x", "y"]], "of 4 clips 0 lost, 2 too many"),
    ],
)
def test_a_sequence_is_judged_by_clip_by_batch_and_by_what_is_missing(got, judged):
    assert verdict(WANTED, got) == judged


def test_a_start_that_failed_tells_why_in_a_few_words():
    rounds = Rounds[str, Times]()
    rounds.add("mosaic", None)
    rounds.troubles["mosaic"] = "ValueError: " + "x" * 500
    assert re.fullmatch(r"ValueError: x+…", times(rounds).rows[0][1])


@pytest.mark.parametrize(("resumed_s", "bytes_", "reached"), [(0.5, 300, "yes"), (0.7, 300, "no"), (0.5, 1000, "no")])
def test_resuming_is_held_against_all_that_is_wanted_of_it(resumed_s, bytes_, reached):
    rounds = Rounds[str, Times]()
    for _ in range(3):
        rounds.add("avsync, 10 clips", Times(fresh_s=0.6, resumed_s=resumed_s, state_bytes=bytes_))
    assert times(rounds).rows[0][-1] == reached
