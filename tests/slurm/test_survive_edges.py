"""On a real cluster: what is nobody's fault, or everybody's: suspended, forbidden to be requeued, few nodes left."""

import json
import sys
from pathlib import Path

import pytest
from jobs import LIMIT_S, asked, order, profile, queue, record, toy

from launch.job.record import End
from launch.queue.squeue import own_name
from launch.site.profile import Notify
from slurm.cluster import Cluster

pytestmark = pytest.mark.slurm


def test_a_bad_node_is_avoided_but_never_so_many_that_too_few_are_left(cluster: Cluster, tmp_path: Path):
    """One rank is killed at the same step again and again; all four nodes have failed, or one of four.

    What the work itself complains of may be missing on one node alone: the one try more that it gets is elsewhere.
    """
    site, orders = profile(exclude_after=2, retries=5), {"complain_at": 1, "complaint": "there is no folder data"}
    complaining = toy(cluster, tmp_path / "complaining", nodes=1, site=site, orders=orders)
    bad = toy(cluster, tmp_path / "bad", nodes=1, site=profile(exclude_after=1, retries=3), orders={"kill_at": 5})
    crowd = toy(cluster, tmp_path / "crowd", nodes=4, site=profile(exclude_after=1, retries=2), orders={"kill_at": 5})
    assert complaining.outcome().reason.endswith("the attempt before ended with the same words")
    assert len({one.began.nodes for one in complaining.attempts()}) == len(complaining.attempts()) == 2
    assert bad.outcome().end is End.FAILED
    places = [one.began.nodes for one in bad.attempts()]
    assert len(set(places)) == 3, f"each attempt began elsewhere: {places}"
    assert crowd.outcome().end is End.FAILED, "it needs all nodes, so none was avoided"
    assert len(crowd.attempts()) == 2


def test_a_suspended_job_has_not_hung_and_a_dead_node_is_no_cancel(cluster: Cluster, tmp_path: Path):
    """The second may not be requeued by SLURM, so a successor goes on; the third hears its run's warning."""
    told = tmp_path / "told"
    warned = Notify(command=f"cat >> {told}; echo >> {told}", on=("warning",))
    patient = toy(cluster, tmp_path / "suspended", 60, nodes=1, site=profile(heartbeat="15 s", notify=warned))
    forbidden = toy(
        cluster, tmp_path / "forbidden", 300, site=profile(successors=1, scontrol=()), nodes=2,
        edit=lambda text: text.replace("#SBATCH --requeue", "#SBATCH --no-requeue"),
    )  # fmt: skip
    patient.until_step(3)
    forbidden.until_step(12)
    cluster.run("scontrol", "suspend", patient.id)
    victim = cluster.run("scontrol", "show", "hostnames", forbidden.attempts()[0].began.nodes).split()[1]
    cluster.kill_node(victim)
    forbidden.until_begun(2)
    order(forbidden.run, {"step_s": 0.01})
    assert forbidden.outcome().end is End.DONE, forbidden.log
    assert "cancelled" not in forbidden.ends()
    pause = cluster.submit("--partition=low", "--wrap=sleep 20", "--output=/dev/null")
    cluster.wait_for(pause, "COMPLETED", timeout=LIMIT_S)
    advice = json.loads((patient.run / "progress.json").read_text()) | {"advice": "the GPUs are idle"}
    (patient.run / "progress.json").write_text(json.dumps(advice))
    cluster.run("scontrol", "resume", patient.id)
    assert patient.outcome().end is End.DONE, patient.log
    assert patient.ends() == ["done"], patient.log


def test_a_node_without_srun_is_a_crash_that_says_so_not_the_end_of_the_job(cluster: Cluster, tmp_path: Path):
    without = f"export PATH={cluster.environment_without('srun')['PATH']}"
    job = toy(cluster, tmp_path / "run", nodes=1, site=profile(setup=(without,), retries=2))
    failed = job.outcome()
    assert (failed.end, job.ends()) == (End.FAILED, ["crashed", "crashed"])
    assert "srun" in failed.reason


def test_what_is_no_training_ends_tidily_when_it_is_cancelled(cluster: Cluster, tmp_path: Path):
    """Only a training looks for a stop file; other work is told by SIGTERM."""
    program = (
        "import pathlib, signal, sys, time\n"
        "def leave(*_):\n    pathlib.Path(sys.argv[1], 'left').touch(); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, leave); pathlib.Path(sys.argv[1], 'begun').touch()\n"
        "while True: time.sleep(0.1)"
    )
    argv = (sys.executable, "-c", program, str(tmp_path))
    job = queue(cluster, record(tmp_path, argv, profile(), asked(nodes=1), kind="verify"), tmp_path)
    job.until((tmp_path / "begun").exists, "work")
    job.paths.cancelled.touch()
    job.paths.task(None).stop.touch()
    assert job.outcome().end is End.CANCELLED
    assert (tmp_path / "left").exists()
    assert job.state("FAILED", "COMPLETED", "CANCELLED") == "FAILED", "what waits for it must not begin"


def test_why_a_run_was_given_up_is_told_in_its_own_words_and_no_node_is_blamed(cluster: Cluster, tmp_path: Path):
    """Of twelve ranks, whose labels srun pads, the one that says it. Where jobs are expedited, SLURM is told that this
    exit code is no node's fault, or it would hold the job for ever.
    """
    job = toy(
        cluster, tmp_path / "run", nodes=3, tasks_per_node=4,
        site=profile(retries=5, exclude_after=1, requeue="expedite"),
        edit=lambda text: text.replace("--requeue=expedite", "--requeue"),  # which this version does not know
        orders={"rank": 3, "complain_at": 3, "complaint": "1 of 3 shards are missing"},
    )  # fmt: skip
    failed = job.outcome()
    assert failed.reason == "1 of 3 shards are missing; the attempt before ended with the same words"
    assert {one.ended.failed_node for one in job.attempts() if one.ended} == {""}
    job.state("FAILED")
    assert cluster.job(job.id)["Requeue"] == "0"


OTHERS = (
    "export SLURM_EXPORT_ENV=NONE SRUN_EXPORT_ENV=NIL SLURM_LABELIO=1 SLURM_STDOUTMODE=none SLURM_STDERRMODE=none "
    "SLURM_EXIT_ERROR=0 SLURM_KILL_BAD_EXIT=0 SLURM_TIMELIMIT=1 SLURM_MPI_TYPE=none-such SLURM_REMOTE_CWD=/none"
)
"""What a site, or a shell, may have set against all that a job counts on."""


def test_ranks_get_what_the_job_has_whatever_the_site_exports_and_a_cancel_is_heard(cluster: Cluster, tmp_path: Path):
    """sbatch --export=NONE or a list, as wrappers and plugins of sites have it; variables of srun; one task and two."""
    ways = {"none": (["--export=NONE"], ()), "list": (["--export=HOME"], ()), "shell": ([], (OTHERS,))}
    jobs = [
        toy(
            cluster, tmp_path / f"{name}-{tasks}", 1000, sbatch=options, nodes=1, tasks_per_node=tasks,
            site=profile(setup=setup, environment={"OF_THE_PROFILE": "a b"}),
        )
        for name, (options, setup) in ways.items() for tasks in (1, 2)
    ]  # fmt: skip
    for job in jobs:
        job.until_step(2)
        job.paths.cancelled.touch()
        job.paths.task(None).stop.touch()
    for job in jobs:
        assert job.outcome().end is End.CANCELLED, job.log
        assert job.ends() == ["cancelled"], job.log
        assert len(job.trained()) < 500, "it was heard at once"
        ranks = 1 + job.run.name.endswith("2")
        for rank in range(ranks):
            (got,) = job.ranks(rank)
            assert got["OF_THE_PROFILE"] == "a b"
            assert got["PYTHONPATH"].split(":")[0] == str(job.paths.code)
            assert got["AVSYNC_STOP_FILE"] == str(job.paths.task(None).stop)
            assert got["WORLD_SIZE"] == (str(ranks) if ranks > 1 else "")


def test_a_job_whose_code_is_gone_says_so_and_runs_no_other(cluster: Cluster, tmp_path: Path):
    job = toy(cluster, tmp_path / "run", nodes=1, edit=lambda text: text.replace("/code ||", "/gone ||"))
    assert job.state("FAILED", "COMPLETED") == "FAILED"
    assert "--new-code" in job.log
    assert not job.attempts()


def test_a_job_whose_files_others_could_have_changed_while_it_waited_is_not_run(cluster: Cluster, tmp_path: Path):
    job = toy(cluster, tmp_path / "run", nodes=1, sbatch=("--hold",))
    (job.paths.code / "launch" / "cli.py").chmod(0o664)
    cluster.run("scontrol", "release", job.id)
    facts = cluster.wait_for(job.id, ("FAILED", "COMPLETED"))
    assert (facts["JobState"], facts["ExitCode"], facts["Restarts"]) == ("FAILED", "2:0", "0")
    changed = f"code/launch/cli.py (owner {own_name()}, mode 664)"
    assert job.log.startswith(f"avsync: error: {changed}: others could have changed it,")
    assert job.log.count("\n") == 1
    assert not job.attempts()
    assert not job.paths.task(None).outcome.exists()
