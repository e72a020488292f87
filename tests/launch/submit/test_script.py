"""The text that sbatch gets: what is in it, that bash can read it, and that nothing in it can become a command."""

import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launch.doctor.scripts import Looks
from launch.doctor.scripts import scripts as probe_scripts
from launch.job.paths import JobPaths
from launch.job.record import VERSION, JobRecord, Resources
from launch.site.profile import ClusterProfile, Requeue
from launch.submit.script import OURS, Piece, Waits, exports, pieces, script
from sharding.errors import InputError

ASKED = Resources(
    partition="gpu", account="us", qos="", constraint="", exclude=("n1", "n2"), nodes=2, tasks_per_node=4,
    gpus_per_node=4, cpus_per_task=8, memory_mb=1000, time_s=90_061,
)  # fmt: skip


def record(asked: Resources = ASKED, **settings: Any) -> JobRecord:
    return JobRecord(
        version=VERSION, kind="train", name="train-run", words=("train", "/data", "/run"), argv=("/bin/python", "x"),
        run="/run", dataset="", profile=ClusterProfile(**settings), resources=asked, array=0, commit="",
        directory="/some where", submitted=time.time(),
    )  # fmt: skip


def text(one: JobRecord, piece: Piece | None = None, waits: Waits | None = None, root: str = "/run/jobs/train") -> str:
    return script(one, JobPaths(Path(root)), piece or Piece(), waits or Waits())


def options(made: str) -> dict[str, str]:
    """As bash reads the quotes; sbatch's own reading of them is tested on the cluster."""
    lines = [line.removeprefix("#SBATCH --") for line in made.splitlines() if line.startswith("#SBATCH ")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_a_script_asks_for_what_the_record_says() -> None:
    assert options(text(record(signal_lead="2 min"))) == {
        "job-name": "train-run", "comment": "avsync:/run/jobs/train", "output": "/run/jobs/train/log.txt",
        "open-mode": "append", "requeue": "", "signal": "B:USR2@120", "partition": "gpu", "account": "us",
        "exclude": "n1,n2", "time": "1-01:01:01", "nodes": "2", "ntasks-per-node": "4", "gpus-per-node": "4",
        "cpus-per-task": "8", "mem": "1000M",
    }  # fmt: skip


def test_a_job_is_expedited_where_its_profile_says_so_and_so_is_the_doctors() -> None:
    choices: tuple[tuple[Requeue, str], ...] = (("plain", ""), ("expedite", "expedite"))
    for requeue, value in choices:
        assert options(text(record(requeue=requeue)))["requeue"] == value
        probes = probe_scripts(ClusterProfile(requeue=requeue), Path("/x"), Looks())
        assert options(probes["requeue"])["requeue"] == value


def test_a_range_of_nodes_comes_without_a_number_of_tasks() -> None:
    """With one SLURM would give the least, or as many as the last time."""
    made = options(text(record(replace(ASKED, most_nodes=4))))
    assert (made["nodes"], made["cpus-per-task"], made["mem"]) == ("2-4", "32", "1000M"), "a node's 4 tasks of 8 each"
    assert not [name for name in made if "ntasks" in name]
    assert options(text(record(replace(ASKED, most_nodes=4, cpus_per_task=0))))["cpus-per-task"] == "4"
    assert options(text(record(replace(ASKED, most_nodes=2)))) == options(text(record()))


def test_what_is_empty_is_left_to_the_site() -> None:
    made = options(text(record(replace(ASKED, partition="", account="", exclude=(), gpus_per_node=0, memory_mb=0))))
    assert not {"partition", "account", "qos", "exclude", "gpus-per-node", "mem", "dependency", "array"} & made.keys()


def test_a_dependency_on_a_good_end_removes_the_job_when_it_cannot_come() -> None:
    made = options(text(record(), waits=Waits(well=("7", "8"))))
    assert (made["dependency"], made["kill-on-invalid-dep"]) == ("afterok:7,afterok:8", "yes")
    line = options(text(record(), waits=Waits(well=("7",), over="9")))
    assert (line["dependency"], line["kill-on-invalid-dep"]) == ("afterok:7,afterany:9", "yes")
    assert "kill-on-invalid-dep" not in options(text(record(), waits=Waits(over="9")))


@pytest.mark.parametrize(("tasks", "most"), [(0, 5), (1, 5), (5, 5), (6, 5), (12, 5), (10, 1)])
def test_the_pieces_of_an_array_are_all_its_tasks_each_once(tasks: int, most: int) -> None:
    made = pieces(tasks, most)
    assert [piece.first + task for piece in made for task in range(piece.tasks)] == list(range(tasks))
    assert all(piece.tasks <= most and piece.of == len(made) for piece in made)
    assert len(made) == max(1, -(-tasks // most))


def test_a_piece_of_an_array_says_which_task_is_its_first() -> None:
    made = text(replace(record(), array=12), pieces(12, 5)[1])
    assert options(made)["array"] == "0-4"
    assert options(made)["output"] == "/run/jobs/train/logs/%A_%a.txt"
    assert "export AVSYNC_SHARE_OFFSET=5\n" in made
    assert "AVSYNC_SHARE_OFFSET" not in text(record())


def test_lines_and_variables_of_the_site_come_before_the_work() -> None:
    made = text(record(setup=("module load cuda",), environment={"A": "b c"}))
    lines = made.splitlines()
    work = next(line for line in lines if line.startswith("exec "))
    assert lines.index("module load cuda") < lines.index("export A='b c'") < lines.index(work)
    assert work == "exec /bin/python -m launch.job.supervise /run/jobs/train"
    assert "cd '/some where' || exit" in lines


def test_an_option_of_the_profile_replaces_ours() -> None:
    made = options(text(record(sbatch={"mem": "0", "exclusive": "", "hint": "nomultithread"})))
    assert (made["mem"], made["exclusive"], made["hint"]) == ("0", "", "nomultithread")


def test_options_for_gpus_are_for_jobs_with_gpus() -> None:
    gres = {"gres": "gpu:a100:4"}
    assert options(text(record(sbatch=gres)))["gres"] == "gpu:a100:4"
    assert "gres" not in options(text(record(replace(ASKED, gpus_per_node=0), sbatch=gres)))


@pytest.mark.parametrize("name", sorted(OURS))
def test_an_option_that_avsync_counts_on_cannot_be_replaced(name: str) -> None:
    with pytest.raises(InputError, match=rf"sbatch.{name} is set by avsync itself"):
        text(record(sbatch={name: "x"}))


HOSTILE = "/a b/$(touch pwned)/`touch pwned`/'; touch pwned; '/\"x\"/#1"


def test_no_name_becomes_a_command(tmp_path: Path) -> None:
    one = replace(
        record(environment={"A": HOSTILE}), directory=str(tmp_path), words=("train", HOSTILE, "a\ntouch pwned")
    )
    made = text(replace(one, argv=("true", HOSTILE)), root=HOSTILE)
    made = made.replace("test -d", "test -n")  # go on, though there is no such code
    subprocess.run(["bash", "-c", made], cwd=tmp_path, check=True, capture_output=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("root", ["/a\nb/jobs/train", "/a\\b/jobs/train"])
def test_a_folder_that_sbatch_cannot_read_is_refused(root: str) -> None:
    with pytest.raises(InputError, match="sbatch cannot read"):
        text(record(), root=root)


def test_a_percent_in_a_folder_is_no_pattern() -> None:
    assert options(text(record(), root="/a%j/jobs/train"))["output"] == "/a%%j/jobs/train/log.txt"


@pytest.mark.parametrize("words", [("--export=NONE",), ("--export", "NIL"), ("--label", "--export=HOME,ALL")])
def test_a_profile_cannot_keep_from_the_ranks_what_the_job_has_for_them(words: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"--export=.* would keep from the ranks .*\[environment\]"):
        text(record(srun=words))
    assert text(record(srun=("--export=ALL,A=b", "--export", "ALL")))


def test_a_job_that_begins_with_nothing_has_a_home_and_finds_slurms_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As --export=NIL starts it; on this login node SLURM's programs lie in a folder of their own."""
    folder = tmp_path / "slurm's bin"
    folder.mkdir()
    (folder / "srun").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    lines = text(record()).partition("# It starts")[0].replace("test -d", "true").replace("cd '/some where'", "true")
    (tmp_path / "script.sh").write_text(lines + "\nenv\n")
    for before in ({}, {"HOME": "/a b", "PATH": "/c d:/bin:/usr/bin"}):
        words = ["/bin/bash", str(tmp_path / "script.sh")]
        got = subprocess.run(words, env=before, capture_output=True, text=True, check=True).stdout.splitlines()
        (path,) = (line for line in got if line.startswith("PATH="))
        assert f"HOME={before.get('HOME', Path.home())}" in got
        assert path.endswith(f":{folder}")
        assert path.startswith(f"PATH={before.get('PATH', '/')}")
        assert "/usr/bin" in path.split(":")


@pytest.mark.parametrize(
    ("value", "there", "given"),
    [
        ("$SLURM_TMPDIR/cache", {"SLURM_TMPDIR": "/local/a b"}, "/local/a b/cache"),
        ("${A}:$B", {"A": "1", "B": "$(touch pwned)"}, "1:$(touch pwned)"),
        ("a$$b", {}, "a$b"),
        ("5 $ `x` $(touch pwned) \"'", {}, "5 $ `x` $(touch pwned) \"'"),
        (
            "$A `touch pwned` $(touch pwned) '\";touch pwned",
            {"A": "1"},
            "1 `touch pwned` $(touch pwned) '\";touch pwned",
        ),
        ("$SLURM_TMPDIR/cache", {}, None),
        ("$A$B", {"A": "1", "B": ""}, None),
    ],
)
def test_variables_of_the_node_are_filled_in_and_what_is_not_set_is_left_out_aloud(
    value: str, there: dict[str, str], given: str | None, tmp_path: Path
) -> None:
    lines = "\n".join([*exports({"CACHE": value}), 'printf "%s" "${CACHE-none}"'])
    run = subprocess.run(
        ["/bin/bash", "-c", lines], env=there, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    word, _, cache = run.stdout.rpartition("\n")
    assert (cache, bool(word)) == ((given, False) if given is not None else ("none", True)), run.stdout
    if given is None:
        assert word.startswith("avsync: warning: [environment] CACHE is left out: ")
    assert not list(tmp_path.iterdir())
