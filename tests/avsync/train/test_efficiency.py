"""The guard warns before the site acts, once in a while, and only when there is reason to."""

from dataclasses import replace
from itertools import pairwise

import pytest
from curves import curve, load

from avsync.run.progress import read_progress
from avsync.train.efficiency import AT_LEAST_S, PIECES, BusySpan, Floor, Guard, remedy
from avsync.train.trainer import train
from sharding.errors import InputError

HOUR = 3600.0
FLOOR = Floor(0.5, HOUR)
STEP_S = 10.0


def simulate(busy, floor: Floor = FLOOR, hours: float = 3) -> tuple[list[float], float | None]:
    """When it warns, and when a site that averages over its window acts. `busy`: share of a moment."""
    guard, told, seen, acts = Guard(floor, measured="GPUs were busy"), list[float](), list[float](), None
    for moment in range(int(hours * HOUR / STEP_S)):
        now = (moment + 1) * STEP_S
        seen.append(busy(now))
        window = seen[-int(floor.window_s / STEP_S) :]
        if acts is None and now >= floor.window_s and sum(window) / len(window) < floor.share:
            acts = now
        verdict = guard.add(BusySpan(STEP_S, busy(now), 0.1))
        if verdict and guard.is_time_to_say(guard.advice(verdict)):
            told.append(now)
    return told, acts


LOADS = {
    "idle from the start": lambda now: 0.1,
    "just below": lambda now: 0.49,
    "good, then starved": lambda now: 0.9 if now < 1.3 * HOUR else 0.2,
    "slowly worse": lambda now: max(0.0, 0.9 - 0.3 * now / HOUR),
    "in waves": lambda now: 0.8 if now % 1200 < 500 else 0.2,
}


@pytest.mark.parametrize("load", LOADS)
def test_it_warns_before_the_site_acts(load):
    told, acts = simulate(LOADS[load])
    assert acts is not None
    assert told[0] < acts
    assert acts - told[0] > 120, "there is time to do something"


@pytest.mark.parametrize("busy", [0.56, 0.8, 1.0])
def test_it_is_silent_while_all_is_well(busy):
    assert simulate(lambda now: busy) == ([], None)


def test_without_a_floor_it_is_silent():
    assert simulate(lambda now: 0.0, Floor(0, HOUR))[0] == []


def test_it_speaks_four_times_in_the_sites_time_not_more():
    told, _ = simulate(lambda now: 0.2, hours=2)
    assert 7 <= len(told) <= 8
    assert min(after - before for before, after in pairwise(told)) >= HOUR / 4


def test_it_judges_nothing_in_the_first_minutes():
    told, _ = simulate(lambda now: 0.0)
    assert told[0] >= AT_LEAST_S


@pytest.mark.parametrize("busy", [0.0, 0.3, 0.49])
def test_when_the_site_would_act_is_what_it_says(busy):
    """An hour of good work, then less: as the site itself would reckon."""
    guard, window, seconds = Guard(FLOOR, measured="GPUs were busy"), [0.9] * 360, 0.0
    for share in window:
        guard.add(BusySpan(STEP_S, share, 0))
    verdict = None
    for _ in range(190):  # more than half of the site's time: what was before does not count for the forecast
        verdict = guard.add(BusySpan(STEP_S, busy, 0))
        window = [*window[1:], busy]
    assert verdict is not None
    while sum(window) / len(window) >= FLOOR.share:
        window, seconds = [*window[1:], busy], seconds + STEP_S
    assert verdict.acts_in_s == pytest.approx(seconds, abs=2 * HOUR / PIECES)


def test_near_the_floor_but_above_it_the_site_will_not_act():
    guard = Guard(FLOOR, measured="GPUs were busy")
    verdict = [guard.add(BusySpan(STEP_S, 0.52, 0.4)) for _ in range(400)][-1]
    assert verdict is not None
    assert verdict.acts_in_s is None
    assert "and may end the job if it becomes less" in guard.advice(verdict)


def test_what_to_change_follows_from_what_is_waited_for():
    guard = Guard(FLOOR, measured="GPUs were busy")
    verdict = [guard.add(BusySpan(STEP_S, 0.3, 0.6)) for _ in range(90)][-1]
    assert verdict is not None
    assert guard.advice(verdict) == (
        "GPUs were busy 30 % of the last 15.0 min; this site wants 50 % over 1.0 h and may end the job in about "
        "45.0 min. Steps wait for data 60 % of the time: ask for more CPUs per GPU (--runtime.workers follows), copy "
        "shards to a local disk (--runtime.scratch), or pack as h264-fast or raw, which load quicker"
    )
    assert "--batch" in remedy(0.02)
    assert "--precision bf16" in remedy(0.02)
    assert "--compile" in remedy(0.02)


def test_memory_is_bounded_whatever_the_number_of_steps():
    guard = Guard(FLOOR, measured="")
    for _ in range(8_000):
        guard.add(BusySpan(1, 0.3, 0))
    assert len(guard._spans) <= PIECES + 2


def test_a_run_below_its_sites_floor_says_so_everywhere(dataset, config, tmp_path, capsys):
    """A floor that no run reaches, and a short time."""
    run = tmp_path / "run"
    runtime = replace(config.runtime, gpu_floor=0.99, gpu_floor_s=0.05)
    train(dataset, run, replace(config, runtime=runtime))
    said = capsys.readouterr().out.replace("\n", " ")
    assert "efficiency: there is no GPU to measure, but steps did not wait for data" in said
    now = read_progress(run)
    assert now is not None
    assert "this site wants 99 % over" in now.advice
    assert all(share == pytest.approx(0.99) for share in curve(run, "train", "efficiency/floor").values())
    assert curve(run, "train", "efficiency/gpu_busy_mean").keys() == curve(run, "train", "efficiency/floor").keys()
    assert "efficiency/text_summary" in load(run, "train").Tags()["tensors"]


def test_a_resumed_run_may_have_another_sites_floor(dataset, config, tmp_path):
    run = tmp_path / "run"
    train(dataset, run, config)
    train(dataset, run, replace(config, runtime=replace(config.runtime, gpu_floor=0.4, preflight=True)))


@pytest.mark.parametrize("wrong", [{"gpu_floor": 1}, {"gpu_floor": -0.1}, {"gpu_floor_s": 0}])
def test_a_floor_that_cannot_be_is_refused(config, wrong):
    with pytest.raises(InputError, match=r"--runtime.gpu-floor"):
        replace(config.runtime, **wrong)
