"""What a process takes itself for, by the variables of launchers; and how tasks of an allocation become ranks."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from launch.commands.entries import COMMANDS
from launch.job.launcher import (
    OF_RANKS,
    PORTS,
    Launched,
    Starter,
    alone,
    check_whole,
    describe_rank,
    launched,
    meet_in_step,
)
from launch.job.srun import first_node
from sharding.base.environment import GRANTED
from sharding.errors import InputError

ROOT = Path(__file__).parents[3]
# As SLURM 22.05 sets them.
SHELL = {"SLURM_JOB_ID": "7", "SLURM_JOBID": "7", "SLURM_NTASKS": "2", "SLURM_NPROCS": "2", "SLURM_TASKS_PER_NODE": "2"}
"""Of salloc -n2."""
BATCH = SHELL | {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_GTIDS": "0"}
"""Of a batch script with --ntasks=2."""
TORCH = {
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}
RUN = {"TORCHELASTIC_RUN_ID": "none"}


def step(tasks: int, task: int = 0, **more: str) -> dict[str, str]:
    """Of a task that srun has started on one node of a job with two tasks."""
    counts = dict.fromkeys(
        ("SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE"), str(tasks)
    )
    places = {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task), "SLURM_NODEID": "0", "SLURM_STEP_ID": "0"}
    nodes = {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NODELIST": "n3", "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1"}
    return SHELL | counts | places | nodes | {"SLURM_CPUS_ON_NODE": "4"} | more


ONE, TASK = Launched(), Launched(by=Starter.SLURM, rank=1, ranks=2)
BY_TORCH, BY_SOMEBODY = (Launched(by=by, rank=1, ranks=2) for by in (Starter.TORCH, Starter.SOMEBODY))
IDLE = Launched(idle="job 7 has 2 tasks; with srun before this command it uses all of them")


@pytest.mark.parametrize(
    ("environment", "it_is"),
    [
        ({}, ONE),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, ONE),
        (SHELL, IDLE),
        (BATCH, IDLE),
        (step(1), ONE),
        (step(2, 1), TASK),
        (step(2, 1, SLURM_ARRAY_TASK_ID="1", SLURM_ARRAY_TASK_COUNT="4"), TASK),
        (step(1) | {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, ONE),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "4"}, ONE),
        (SHELL | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "4294967290"}, IDLE),  # salloc's own shell, as a step
        (step(2, SLURM_PTY_PORT="38000"), IDLE),  # a person types in one of them
        (step(9) | BATCH, IDLE),  # a batch script that was submitted from within a step of nine
        (step(9) | BATCH | {"SLURM_NTASKS": "1"}, ONE),
        (TORCH | RUN | {"RANK": "1"}, BY_TORCH),
        (TORCH | {"RANK": "1"}, BY_SOMEBODY),
        (step(2, 0) | TORCH | RUN | {"RANK": "1"}, BY_TORCH),  # torchrun on each node
        ({"RANK": "0", "WORLD_SIZE": "1"}, Launched(by=Starter.SOMEBODY)),
        ({"WORLD_SIZE": "1"}, ONE),
        ({"ACCELERATE_MIXED_PRECISION": "no"}, ONE),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}, Launched(by=Starter.MPI, rank=3, ranks=4)),
        (step(2, 1, OMPI_COMM_WORLD_SIZE="8", OMPI_COMM_WORLD_RANK="6"), Launched(by=Starter.MPI, rank=6, ranks=8)),
        (step(2, 1, PMI_SIZE="2", PMI_RANK="1"), TASK),  # srun --mpi=pmi2
        (step(2, 1, PMI_SIZE="2", PMI_RANK="0"), Launched(by=Starter.MPI, rank=0, ranks=2)),  # mpiexec of MPICH
        ({"WORLD_SIZE": "2"}, ONE),
        ({"PMI_SIZE": "1", "PMI_RANK": "0"}, ONE),
    ],
)  # fmt: skip
def test_a_process_knows_as_which_of_how_many_it_was_started(environment: Mapping[str, str], it_is: Launched):
    assert launched(environment) == it_is


def test_one_process_where_several_were_asked_for_says_how_to_get_them():
    """accelerate launch --num-processes 4 on a machine without GPUs."""
    asked = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    assert "torch.distributed.run --nproc-per-node" in launched(asked).idle


def test_variables_that_are_half_of_what_a_launcher_sets_are_named():
    for whole in ({}, {"WORLD_SIZE": "1"}, {"RANK": "0"}, {"RANK": "1", "WORLD_SIZE": "2"}, {"RANK": ""}):
        check_whole(whole)
    for half in ({"WORLD_SIZE": "2"}, {"RANK": "1"}, {"RANK": "1", "WORLD_SIZE": ""}):
        with pytest.raises(InputError, match="is not set"):
            check_whole(half)
    with pytest.raises(InputError, match="RANK = 'x' is no number"):
        launched({"RANK": "x", "WORLD_SIZE": "2"})


def test_all_tasks_of_a_step_come_to_the_same_place_and_others_to_another():
    places, ports = set[str](), dict[tuple[str, str], set[str]]()
    for job, number in (("7", "0"), ("7", "1"), ("8", "0"), ("99999999", "12")):
        for task in range(2):
            environment = step(2, task, SLURM_JOB_ID=job, SLURM_STEP_ID=number)
            meet_in_step(environment)
            assert (environment["RANK"], environment["LOCAL_RANK"]) == (str(task), str(task))
            assert (environment["WORLD_SIZE"], environment["LOCAL_WORLD_SIZE"]) == ("2", "2")
            assert environment[GRANTED] == "2", "of the four cores on this node"
            places.add(environment["MASTER_ADDR"])
            ports.setdefault((job, number), set()).add(environment["MASTER_PORT"])
    assert places == {"127.0.0.1"}
    assert [len(found) for found in ports.values()] == [1] * 4
    assert len(set.union(*ports.values())) == 4
    assert all(PORTS[0] <= int(port) < PORTS[1] for port in set.union(*ports.values()))


def test_where_to_meet_is_what_a_person_says_and_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(InputError, match=f"port {port}.*MASTER_PORT"):
            meet_in_step(step(2, MASTER_PORT=port))
        environment = step(2, 1, MASTER_PORT=port, MASTER_ADDR="localhost")
        meet_in_step(environment)  # this one only goes there
    assert (environment["MASTER_ADDR"], environment["MASTER_PORT"]) == ("localhost", port)
    with pytest.raises(InputError, match="is no port"):
        meet_in_step(step(2, MASTER_PORT="70000"))


def test_a_first_node_without_an_address_is_named_with_what_to_set():
    with pytest.raises(InputError, match=r"no-such-node-1, has no address here: set MASTER_ADDR"):
        meet_in_step(step(2, 1, SLURM_STEP_NUM_NODES="2", SLURM_STEP_NODELIST="no-such-node-[1-2]"))


@pytest.mark.parametrize(
    ("nodes", "first"),
    [("n1", "n1"), ("n[1-2]", "n1"), ("gpu[007-008,11],n2", "gpu007"), ("a-1.site,b", "a-1.site"),
     ("r[3-4]n[1,5]", "r3n1")],
)  # fmt: skip
def test_the_first_of_a_list_of_nodes_is_read_as_slurm_writes_it(nodes: str, first: str):
    assert first_node(nodes) == first


def test_what_launchers_around_a_job_have_set_is_forgotten():
    """A job that was submitted from inside of another one."""
    around = dict.fromkeys([*OF_RANKS, "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"], "9")
    own = {"PATH": "/bin", "SLURM_NTASKS": "1"}
    environment = around | own
    alone(environment)
    assert environment == own
    ranks = step(2, 1) | around
    describe_rank(ranks, "localhost", "20001")
    assert (ranks["RANK"], ranks["WORLD_SIZE"], ranks["MASTER_PORT"]) == ("1", "2", "20001")
    assert not {name for name in ranks if name.startswith(("PMI", "OMPI", "MV2"))}


def typed(*words: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "launch", *words], env=os.environ | variables, capture_output=True, text=True, cwd=ROOT,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_command_that_is_one_process_says_so_once_and_training_only_joins_what_it_can(tmp_path: Path):
    assert [name for name, entry in COMMANDS.items() if entry.several] == ["train"]
    code, said = typed("pack", "VIDEOS", str(tmp_path), **step(2, 0))
    assert (code, said) == (2, f"avsync: error: srun has started avsync pack 2 times; {ONCE}\n")
    assert typed("pack", "VIDEOS", str(tmp_path), **step(2, 1)) == (2, "")
    code, said = typed("train", "DATASET", str(tmp_path), OMPI_COMM_WORLD_SIZE="2", OMPI_COMM_WORLD_RANK="0")
    assert (code, said.count("\n")) == (2, 1)
    assert "srun" in said
    assert "torch.distributed.run" in said


ONCE = "it works as one process: start it once (srun -n1)"


def test_what_torchrun_prints_last_is_why_a_rank_could_not_go_on(tmp_path: Path):
    """By the file that torchrun gives to each process; all but the first are silent where all would say the same."""
    for rank in ("0", "1"):
        variables = TORCH | RUN | {"RANK": rank, "TORCHELASTIC_ERROR_FILE": str(tmp_path / rank)}
        code, said = typed("train", "DATASET", "RUN", "--sead", "1", **variables)
        assert code == 2
        assert said.count("no flag --sead") == (1 if rank == "0" else 0)
        words = json.loads((tmp_path / rank).read_text())["message"]
        assert words["message"].startswith("avsync: error: train has no flag --sead")
        assert int(words["extraInfo"]["timestamp"])
