"""The rank that others wait for is named, with its node; of healthy ranks, however they scatter, none is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest
from avsync_settings import quick_config
from curves import load
from hypothesis import given
from hypothesis import strategies as st
from processes import command, start_ranks

from avsync.run.limits import SECTIONS
from avsync.run.progress import read_progress
from avsync.train.sections import SectionWatch
from avsync.train.stragglers import DOES, LEAST_S, POINTS, SHARE, TIMES, RankTimes, Stragglers, Work, middle

EACH = 2
"""Steps between two points."""
Draw = Callable[[np.random.Generator, int], np.ndarray]
HEALTHY: dict[str, Draw] = {
    "nothing to wait for": lambda chance, ranks: np.zeros(ranks),
    "even": lambda chance, ranks: chance.uniform(0.45, 0.55, ranks),
    "varying": lambda chance, ranks: chance.uniform(0.1, 0.9, ranks),
    "heavy tails": lambda chance, ranks: chance.lognormal(-1, 1, ranks),
    "heavier tails": lambda chance, ranks: 0.05 * (1 + chance.pareto(1.5, ranks)),
    "exponential": lambda chance, ranks: chance.exponential(0.3, ranks),
    "all slow now and then": lambda chance, ranks: np.full(ranks, 5.0 * (chance.random() < 0.1)),
    "another one each time": lambda chance, ranks: np.where(np.arange(ranks) == chance.integers(ranks), 9.0, 0.1),
    "little, always the same": lambda chance, ranks: np.where(np.arange(ranks) == 0, 0.9 * LEAST_S, 0.0),
    "some faster machines": lambda chance, ranks: np.where(np.arange(ranks) < (ranks - 1) // 2, 0.1, 0.6),
}


def nodes(ranks: int) -> tuple[str, ...]:
    return tuple(f"n{rank // 4}" for rank in range(ranks))


@pytest.mark.parametrize("shape", HEALTHY)
@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 64, 1024])
def test_nothing_is_said_of_a_healthy_run(shape: str, ranks: int) -> None:
    chance, watched = np.random.default_rng(ranks), Stragglers(nodes(ranks))
    for point in range(150):
        data, forward = (HEALTHY[shape](chance, ranks) for _ in range(2))
        watched.add(RankTimes(step_s=1.0, data=data, forward=forward))
        assert (found := watched.find()) is None, (shape, ranks, point, found)


works = st.sampled_from(list(DOES))


@given(works, st.integers(2, 200), st.floats(0.05, 20), st.floats(0, 0.5), st.floats(2, 30), st.integers(0, 2**32))
def test_a_rank_that_is_always_slow_is_named_with_its_node_after_a_stretch_and_no_longer_when_it_is_well(
    work: Work, ranks: int, step_s: float, usual: float, times: float, seed: int
) -> None:
    """Beside ranks that scatter by a tenth; `usual`: part of a step."""
    chance, watched = np.random.default_rng(seed), Stragglers(nodes(ranks))
    slow = int(chance.integers(ranks))

    def point(own_s: float) -> RankTimes:
        of_ranks = usual * step_s * chance.uniform(0.95, 1.05, ranks)
        of_ranks[slow] = own_s
        other = np.full(ranks, usual * step_s)
        data, forward = (of_ranks, other) if work == "data" else (other, of_ranks)
        return RankTimes(step_s=step_s, data=data, forward=forward)

    own_s = 1.1 * max(times * usual * step_s, usual * step_s + max(SHARE * step_s, LEAST_S))
    for _ in range(POINTS - 1):
        watched.add(point(own_s))
        assert watched.find() is None, "too early to tell"
    watched.add(point(own_s))
    found = watched.find()
    assert found
    assert (found.rank, found.node, found.work, found.others) == (slow, nodes(ranks)[slow], work, 0)
    assert found.own_s == pytest.approx(own_s)
    assert found.own_s > TIMES * found.usual_s
    for text in (f"rank {slow} on {found.node} ", f"--exclude={found.node}"):
        assert text in found.text
    if usual * step_s > 0.01:
        assert f"{found.own_s / found.usual_s:,.1f}x as long" in found.text
    watched.add(point(usual * step_s))
    assert watched.find() is None


def test_of_several_slow_ranks_the_slowest_is_named_and_the_others_are_counted() -> None:
    watched = Stragglers(nodes(16))
    for _ in range(POINTS):
        data = np.full(16, 0.1)
        data[[5, 6, 9]] = (0.5, 0.7, 0.4)
        watched.add(RankTimes(step_s=1.0, data=data, forward=np.full(16, 0.2)))
    found = watched.find()
    assert found
    assert (found.rank, found.node, found.others) == (6, "n1", 2)
    assert "rank 6 on n1 waits 7.0x as long for its data" in found.text


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_the_measure_is_the_lower_median(times: list[float]) -> None:
    assert middle(np.array(times)) == sorted(times)[(len(times) - 1) // 2]


CHILD = """
import os, sys, time
from pathlib import Path
from avsync.config import TrainConfig
from avsync.train import step, trainer
from sharding.base.files import read_json

if os.environ["RANK"] == "1":
    prepared = step.Stepper.prepared

    def slowly(*given):
        time.sleep(0.2)  # far more than a forward pass takes here, whoever else uses the cores
        return prepared(*given)

    step.Stepper.prepared = slowly
if __name__ == "__main__":
    trainer.train(Path(sys.argv[1]), Path(sys.argv[2]), read_json(Path(sys.argv[3]), TrainConfig))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_rank_that_really_is_slow_is_named_in_the_run_and_in_its_curves(dataset: Path, tmp_path: Path) -> None:
    runtime = replace(quick_config().runtime, workers=1, log_every=EACH, checkpoint_every=500)
    config = replace(quick_config(), steps=EACH * (POINTS + 3), validate_every=0, runtime=runtime)
    children = start_ranks(command(dataset, tmp_path / "run", config, tmp_path, CHILD), 2, SLURMD_NODENAME="n7")
    try:
        said = [child.communicate(timeout=250)[0] for child in children]
    finally:
        for child in children:
            child.send_signal(SIGKILL)
    assert not any(child.returncode for child in children), said
    progress = read_progress(tmp_path / "run")
    assert progress
    assert progress.slow.startswith("rank 1 on n7 "), said[0]
    assert progress.slow in " ".join(said[0].split()), "the run's last lines"
    tags = load(tmp_path / "run", "train").Tags()
    assert {f"ranks/{work}_s_{what}" for work in DOES for what in ("median", "slowest")} <= set(tags["scalars"])
    assert any("slow_rank" in tag or "slow rank" in tag for tag in tags["tensors"])


def test_the_times_of_a_thousand_ranks_are_few_bytes() -> None:
    """Beside what each rank's gradients weigh."""
    watch = SectionWatch()
    longest, counts = watch.take()
    assert len(longest) == len(counts) == len(SECTIONS)
    assert 4 * (2 + len(watch.own_s) + len(longest) + len(counts)) <= 128, "bytes of a rank, at a point of the curves"
