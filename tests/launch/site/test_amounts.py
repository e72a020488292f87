"""Times and memory mean what they mean to SLURM: its documented grammar, and what is refused with a word how."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.job.record import VERSION, JobRecord
from launch.site.amounts import (
    NodeCounts,
    as_clock,
    in_words,
    memory_mb,
    node_counts,
    seconds,
    size,
    spans,
    time_limit,
    with_seconds,
)
from launch.site.profile import ClusterProfile, JobOptions
from launch.submit.command import Submit
from launch.submit.plan import plan_chain
from sharding.base.files import from_json, to_json
from sharding.errors import InputError
from tests.slurm.jobs import asked

# man sbatch: "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours", "days-hours:minutes" and
# "days-hours:minutes:seconds". Form -> seconds of each of its numbers.
GRAMMAR = {
    "{}": (60,),
    "{}:{}": (60, 1),
    "{}:{}:{}": (3600, 60, 1),
    "{}-{}": (86_400, 3600),
    "{}-{}:{}": (86_400, 3600, 60),
    "{}-{}:{}:{}": (86_400, 3600, 60, 1),
}
number = st.integers(0, 120)
written = st.sampled_from(["{}", "0{}"])


@pytest.mark.parametrize("form", GRAMMAR)
@given(numbers=st.lists(number, min_size=4, max_size=4), zeros=st.lists(written, min_size=4, max_size=4))
def test_a_limit_is_what_slurms_grammar_says_in_full_minutes(form: str, numbers: list[int], zeros: list[str]) -> None:
    units = GRAMMAR[form]
    text = form.format(*(zero.format(count) for zero, count in zip(zeros, numbers, strict=True)))
    meant = sum(count * unit for count, unit in zip(numbers, units, strict=False))
    if not meant:
        with pytest.raises(InputError, match="means no limit to SLURM"):
            time_limit(text, "--time")
        return
    assert time_limit(text, "--time") == -(-meant // 60) * 60
    if form != "{}":
        assert seconds(text, "heartbeat") == meant, "a duration is written in the same ways, and not rounded"


@pytest.mark.parametrize(
    ("text", "limit"),
    [("90 min", 5400), ("1 h 30 min", 5400), ("1h30min", 5400), ("2d", 172_800), ("0.5 h", 1800), ("45 s", 60)],
)
def test_a_limit_may_have_units_as_well(text: str, limit: int) -> None:
    assert time_limit(text, "--time") == limit


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1h30m", "1 day", "90m", "1:2:3:4", "5:", ":30", "1.5", "1-", "-5", "1-2-3", "3 GB", "٣"],
)
def test_what_slurm_does_not_read_is_refused_and_how_is_said(text: str) -> None:
    with pytest.raises(InputError, match=r'--time = .* is no time limit; write it like "90 min", .*"90:00" are 90 min'):
        time_limit(text, "--time")


@pytest.mark.parametrize("text", ["UNLIMITED", "infinite", "-1"])
def test_a_job_without_a_limit_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InputError, match="a job needs a limit, at which it is requeued"):
        time_limit(text, "time")


@pytest.mark.parametrize("text", ["", "90", "1 hour", "min 3", "1 h and", "-5 min", "1:2:3:4", "3 GB"])
def test_a_duration_has_units_or_is_a_clocks(text: str) -> None:
    with pytest.raises(InputError, match=r"heartbeat = .* is no duration"):
        seconds(text, "heartbeat")


@given(st.integers(0, 10**8))
def test_a_duration_is_written_so_that_it_is_read_again(length: int) -> None:
    assert seconds(as_clock(length), "x") == seconds(in_words(length), "x") == length


@given(st.integers(1, 10**6), st.sampled_from(["", *"KMGTkmgt"]), st.sampled_from(["", "B", "b"]), st.booleans())
def test_memory_is_what_slurm_makes_of_it(count: int, unit: str, byte: str, blank: bool) -> None:
    text = f"{count}{' ' * blank}{unit}{byte if unit else ''}"
    exact = count * 1024 ** "KMGT".index((unit or "M").upper())  # KiB
    assert memory_mb(text, "--memory") == -(-exact // 1024)


@pytest.mark.parametrize("text", ["64GiB", "64 GiB", "65536MiB", "65536", "64gb"])
def test_all_ways_to_write_64_gib_are_64_gib(text: str) -> None:
    assert memory_mb(text, "memory") == 65_536


@pytest.mark.parametrize("text", ["", "lots", "1.5G", "64 cups", "G", "-3G", "64 P", "3 G 4"])
def test_what_is_no_memory_is_refused_and_how_is_said(text: str) -> None:
    with pytest.raises(InputError, match=r'--memory = .* is no memory; write .*"64G"'):
        memory_mb(text, "--memory")
    with pytest.raises(InputError, match=r'mem = "0" under \[sbatch\]'):
        memory_mb("0", "--memory")


def test_disks_are_counted_in_both_kinds_of_units() -> None:
    assert (size("64 GB", "scratch_size"), size("64 GiB", "scratch_size")) == (64 * 10**9, 64 * 2**30)
    with pytest.raises(InputError, match=r'scratch_size = "64" is no size'):
        size("64", "scratch_size")


def note_of(*words: str, site: ClusterProfile) -> tuple[int, str]:
    (plan,) = plan_chain(Submit.parse(("verify", "d", *words), "avsync submit").chain, site, "")
    return plan.record.resources.time_s, plan.note


def test_two_numbers_are_said_aloud_because_they_were_hours_before() -> None:
    site = ClusterProfile(name="lab", time="12:00")
    assert note_of(site=site) == (
        720, "time of profile lab 12:00 is a time limit of 12 min: minutes:seconds, as SLURM reads it"
    )  # fmt: skip
    assert note_of("--time", "90:00", site=site)[1].startswith("--time 90:00 is a time limit of 1 h 30 min")
    for text in ("90", "2-0", "1:30:00", "2-03:00", "3 h"):
        assert not note_of("--time", text, site=site)[1]


def _record(version: int, **settings: Any) -> JobRecord:
    return JobRecord(
        version=version, kind="train", name="x", words=(), argv=(), run="/r", dataset="",
        profile=ClusterProfile(**settings), resources=asked(time_s=43_200), array=0, commit="", directory="/",
        submitted=0,
    )  # fmt: skip


def test_a_job_of_before_keeps_the_times_that_it_was_given() -> None:
    stored = to_json(_record(VERSION, time="12:00", signal_lead="0:05", train=JobOptions(time="1-06:00")))
    before = from_json(stored.replace(b'"version": 2', b'"version": 1'), JobRecord, "job.json")
    assert (before.profile.time_s, before.profile.signal_lead_s) == (43_200, 300)
    assert time_limit(before.profile.train.time or "", "x") == 30 * 3600, "days said already that hours follow"
    again = from_json(to_json(before), JobRecord, "job.json")
    assert again == before, "written anew, it still means the same"
    now = from_json(stored, JobRecord, "job.json")
    assert (now.profile.time_s, now.profile.signal_lead_s) == (720, 5)


@given(st.integers(0, 99), st.integers(0, 59))
def test_what_two_numbers_meant_before_can_be_written(hours: int, minutes: int) -> None:
    assert seconds(with_seconds(f"{hours}:{minutes:02}"), "x") == hours * 3600 + minutes * 60


@given(least=st.integers(1, 999_999), more=st.integers(0, 999))
def test_numbers_of_nodes_are_read_as_they_are_written(least: int, more: int) -> None:
    counts = NodeCounts(least, min(least + more, 999_999))
    assert node_counts(str(counts), "--nodes") == counts
    assert node_counts(least, "--nodes") == NodeCounts(least, least)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0-3", "4-2", "2-", "-2", "a-b", "2-4:2", "2,4", "2-3-4", "1k", "2..4", "٢", "9999999", "1.5", "2 - 4"],
)
def test_what_is_no_number_of_nodes_is_refused_with_how_it_is_written(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^--nodes .*; write 4, or 2-4 for a job that starts on any of 2, 3 or 4 nodes$"
    ):
        node_counts(text, "--nodes")


@given(st.sets(st.integers(1, 30)))
def test_spans_hold_each_number_once_and_no_other(numbers: set[int]) -> None:
    found = spans(sorted(numbers))
    assert [number for span in found for number in span.each] == sorted(numbers)
    assert all(after.least > before.most + 1 for before, after in pairwise(found))
