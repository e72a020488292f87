"""Times and memory against the real sbatch: what it takes means the same here; the rest is refused, but `90 min`."""

import pytest

from launch.site.amounts import as_clock, memory_mb, node_counts, time_limit
from sharding.errors import InputError
from slurm.cluster import Cluster, ClusterError

pytestmark = pytest.mark.slurm

TIMES = (
    "30 30:00 00:30 2:90 1:30:00 0:90:00 30:00:00 2-0 2-3:30 5-1:2 1-2:3:4 1-0:0:30 0-0:1 007 "
    "90m 1h30m 1:2:3:4 5: :30 1.5 30. 1day"
).split()
MEMORY = "64G 2000M 64GB 64gb 2000 500000K 1T 1t 1500kb 100kB 3Mb 1.5G 1P G 64x".split()


NODES = "1 2 1-1 1-3 2-4 2-9 4-2 0-3 0 2- -3 a-b two 2-4:2 2,3 2-3-4".split()


def held(cluster: Cluster, option: str) -> str:
    """The number of a job that never runs; empty where sbatch says no."""
    try:
        return cluster.submit("--hold", "--output=/dev/null", option, "--wrap=true")
    except ClusterError:
        return ""


def test_a_time_limit_is_read_as_sbatch_reads_it(cluster: Cluster) -> None:
    for text in TIMES:
        if job := held(cluster, f"--time={text}"):
            ours = held(cluster, f"--time={as_clock(time_limit(text, '--time'))}")
            assert cluster.job(ours)["TimeLimit"] == cluster.job(job)["TimeLimit"], text
        else:
            with pytest.raises(InputError):
                time_limit(text, "--time")


def test_memory_is_read_as_sbatch_reads_it(cluster: Cluster) -> None:
    for text in MEMORY:
        if job := held(cluster, f"--mem={text}"):
            ours = held(cluster, f"--mem={memory_mb(text, '--memory')}M")
            assert cluster.job(ours)["MinMemoryNode"] == cluster.job(job)["MinMemoryNode"], text
        else:
            with pytest.raises(InputError):
                memory_mb(text, "--memory")


def test_numbers_of_nodes_are_read_as_sbatch_reads_them(cluster: Cluster) -> None:
    """What sbatch takes beyond that (2-4:2 from 23.11 on, 0-3) is refused: the work must be able to share its batch."""
    for text in NODES:
        job = held(cluster, f"--nodes={text}")
        try:
            counts = node_counts(text, "--nodes")
        except InputError:
            continue
        assert job, text
        assert cluster.job(job)["NumNodes"] in (f"{counts.least}-{counts.most}", str(counts)), text
