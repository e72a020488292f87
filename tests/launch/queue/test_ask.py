"""How SLURM's commands are asked: no taste of the person's changes what they print, and failures say what to do."""

import pytest

from launch.queue.ask import QueueError, ask, reason_in
from sharding.errors import InputError


@pytest.mark.parametrize("given", [None, {"PATH": "/usr/bin:/bin", "SLURM_TIME_FORMAT": "relative", "SLURM_CONF": "x"}])
def test_variables_that_change_what_slurm_prints_do_not_reach_it(
    given: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN", "SQUEUE_STATES", "SCANCEL_INTERACTIVE", "SINFO_PARTITION"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "x")
    told = set(ask(["env"], environment=given).splitlines())
    assert {"SLURM_CONF=x", "SLURM_BITSTR_LEN=0"} <= told
    assert {line for line in told if line.startswith(("SLURM", "SQUEUE", "SCANCEL", "SINFO"))} == {
        "SLURM_CONF=x", "SLURM_BITSTR_LEN=0",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ("sinfo: fatal: Could not establish a configuration source", "SLURM_CONF must name the site's slurm.conf"),
        ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", "try later"),
        ("slurm_update error: Invalid job id specified", "(3): slurm_update error: Invalid job id specified"),
    ],
)
def test_what_slurm_says_is_told_with_the_remedy_where_it_has_one(said: str, remedy: str) -> None:
    with pytest.raises(QueueError) as error:
        ask(["sh", "-c", f"echo a first line >&2; echo '{said}' >&2; exit 3"])
    assert said in str(error.value)
    assert remedy in str(error.value)


def test_of_a_refusal_the_line_that_says_why_is_told_not_how_to_get_help() -> None:
    why = "sbatch: option '--requeue' doesn't allow an argument"
    for tail in ('Try "sbatch --help" for more information', "Try 'sbatch --help' for more information\n\n", ""):
        assert reason_in(f"a remark of the site\n{why}\n{tail}") == why
    assert reason_in("error: denied\nsee https://example.org") == "error: denied"
    assert reason_in(' \nTry "sbatch --help" for more information') == ""


def test_a_command_that_is_not_there_or_gives_no_answer_is_told_so() -> None:
    with pytest.raises(InputError, match="no login node"):
        ask(["no-such-command-of-slurm"])
    with pytest.raises(QueueError, match="gave no answer for 0 s"):
        ask(["sleep", "60"], timeout_s=0.1)
