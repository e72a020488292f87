"""What is typed behind `avsync submit`: whose flag is whose, which link it is for, and what is refused at once."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from launch.commands.entries import command_class
from launch.job.record import JobRecord
from launch.site.profile import ClusterProfile, JobOptions
from launch.site.profiles import find_profile
from launch.submit.command import OWN, Submit
from launch.submit.kinds import KINDS
from launch.submit.messages import dry_run_report
from launch.submit.plan import JobPlan, plan_chain
from launch.submit.typed import absolute
from sharding.base.files import from_json, to_json
from sharding.errors import InputError

SMALL = ("--preset", "small")


def parsed(*words: str) -> Submit:
    return Submit.parse(words, "avsync submit")


def plans(*words: str, cluster: str = "test") -> list[JobPlan]:
    return plan_chain(parsed(*words).chain, find_profile(cluster), commit="")


def test_submits_own_flags_stand_anywhere_and_the_rest_is_the_commands() -> None:
    command = parsed("--nodes", "2", "train", "d", "--time=3 h", "r", *SMALL, "--steps", "9000", "--cluster", "lab")
    link = command.chain[0]
    assert link.words == ("train", "d", "r", *SMALL, "--steps", "9000")
    assert (link.wanted.nodes, link.wanted.time, command.call.cluster) == ("2", "3 h", "lab")
    assert link.command.config.steps == 9000


def test_a_range_of_nodes_is_typed_or_of_the_profile_and_of_a_training_alone() -> None:
    site = ClusterProfile(name="lab", train=JobOptions(nodes="2-4"))

    def counts(*words: str) -> str:
        (plan,) = plan_chain(parsed("train", "d", "r", *SMALL, *words).chain, site, commit="")
        assert from_json(to_json(plan.record), JobRecord, "job.json") == plan.record, "as resubmit finds it"
        report, nodes = dry_run_report([plan], [plan], 1, (), {}), plan.record.resources.node_counts
        assert (f"{nodes.least} to {nodes.most} nodes, each with 8 CPUs" in report) == nodes.is_range
        return str(nodes)

    assert [counts(), counts("--nodes", "3"), counts("--nodes=3-8"), counts("--nodes", "5-5")] == [
        "2-4",
        "3",
        "3-8",
        "5",
    ]
    with pytest.raises(InputError, match="--nodes 2-4: only train runs on more than one node; leave it out"):
        plans("evaluate", "r", "d", "--nodes", "2-4")
    for fixed, named in (
        ({"sbatch": {"ntasks": "4"}}, "sbatch.ntasks"),
        ({"srun": ("--ntasks=4",)}, "srun --ntasks=4"),
    ):
        profile = replace(site, **fixed)
        with pytest.raises(InputError, match=rf"nodes 2-4: .*, and {named} of profile lab fixes it; take that out, or"):
            plan_chain(parsed("train", "d", "r", *SMALL).chain, profile, commit="")
        plan_chain(parsed("train", "d", "r", *SMALL, "--nodes", "2").chain, profile, commit="")


def test_a_flag_before_the_first_command_is_for_all_and_one_within_for_that_one() -> None:
    words = ("--account", "us", "pack", "v", "d", "--array", "7", "--then", "train", "d", "r", "--account", "them")
    pack, train = parsed(*words, "--dry-run", "--cluster", "lab").chain
    assert (pack.wanted.account, pack.wanted.array) == ("us", 7)
    assert (train.wanted.account, train.wanted.array) == ("them", None)


@pytest.mark.parametrize("kind", KINDS)
def test_no_command_has_a_flag_that_submit_takes_for_its_own(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(kind, "--help")
    flags = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*", capsys.readouterr().out))
    assert flags
    assert not (flags & OWN.keys()) - {"--dry-run"}  # of pack; that of submit means the same


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "what shall be submitted"),
        (("trian", "d", "r"), "did you mean train"),
        (("demo",), "this cannot be submitted; what can be: pack, train"),
        (("train", "d", "r", "--then"), "this cannot be submitted"),
        (("train", "d", "r", "--nodes", "two"), "--nodes two is no number of nodes; write 4, or 2-4 for a job that"),
        (("train", "d", "r", "--nodes=4-2"), "--nodes 4-2 has its ends the wrong way round: 2 is less; write 4, or"),
        (("train", "d", "r", "--nodes", "0-3"), "--nodes 0-3 must be at least 1; write 4, or 2-4"),
        (("train", "d", "r", "--nodes="), r"--nodes \(nothing\) is no number of nodes"),
        (("train", "d", "r", "--steps", "0"), "--steps 0"),
        (("train", "d", "r", "--after", "soon"), "--after soon is no number of a job"),
    ],
)
def test_what_cannot_be_is_said_at_once(words: Sequence[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parsed(*words)


def test_a_wrong_flag_of_the_command_is_found_now_and_submits_own_is_suggested() -> None:
    with pytest.raises(InputError, match=r"has no flag --partiton; did you mean submit's own --partition\?"):
        parsed("train", "d", "r", "--partiton", "x")


@pytest.mark.parametrize(
    ("words", "said"),
    [(("-h",), "avsync submit "), (("--help",), "avsync submit "), (("train", "--help"), "avsync submit train ")],
)
def test_help_is_of_submit_or_of_the_command_behind_it(
    words: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(*words)
    assert f"usage: {said}" in capsys.readouterr().out


def test_places_become_absolute_and_values_of_flags_stay() -> None:
    here = Path.cwd()
    words = ("train", "--preset", "demo", "--flip", "demo", "run", "--tag", "run")
    flags = {"--preset": OWN["--name"], "--flip": OWN["--dry-run"], "--tag": OWN["--name"]}
    made = absolute(words, [Path("demo"), Path("run")], flags)
    assert made == ("train", "--preset", "demo", "--flip", f"{here}/demo", f"{here}/run", "--tag", "run")


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (("pack", "v", "d"), "d/jobs/pack"),
        (("train", "d", "r"), "r/jobs/train"),
        (("evaluate", "r", "d"), "r/jobs/evaluate"),
        (("verify", "d"), "d/jobs/verify"),
        (("audit", "d"), "d/jobs/audit"),
    ],
)
def test_a_job_lies_in_what_it_works_on(words: Sequence[str], target: str) -> None:
    first = plans(*words)[0]
    assert first.paths.root == Path.cwd() / target
    for word in words[1:]:
        assert str(Path.cwd() / word) in first.record.words
    assert first.record.argv[1:4] == ("-m", "launch", words[0])


def test_packing_is_an_array_and_a_job_that_puts_it_together() -> None:
    pack, merge = plans("pack", "v", "d", "--retry", "--array", "9")
    assert (pack.record.kind, pack.record.array, merge.record.kind, merge.record.array) == ("pack", 9, "pack-merge", 0)
    assert pack.record.argv[-2:] == ("--share", "{share}")
    assert "--share" not in merge.record.argv
    assert "--retry" not in {*pack.record.argv[:0], *merge.record.argv}


def test_curating_is_an_array_of_shares_and_a_job_that_writes_the_table() -> None:
    tasks, merge = plans("curate", "v", "t.csv", "--array", "9", "--sure", "0.9")
    assert tasks.paths.root == Path.cwd() / "t.answers/jobs/curate"
    assert merge.paths.root == Path.cwd() / "t.answers/jobs/curate-merge"
    assert (tasks.record.kind, tasks.record.array, merge.record.kind, merge.record.array) == (
        "curate",
        9,
        "curate-merge",
        0,
    )
    assert tasks.record.argv[-4:] == ("--share", "{share}", "--shares", "9")
    assert "--share" not in merge.record.argv
    for number in range(9):
        run = [word.replace("{share}", str(number)) for word in tasks.record.argv[4:]]
        command_class("curate").parse(run, "avsync curate")


@pytest.mark.parametrize(
    "words", [("pack", "v", "d", "--shares", "3"), ("curate", "v", "t.csv", "--shares", "3", "--share", "0")]
)
def test_a_share_is_not_for_a_person_to_submit(words: Sequence[str]) -> None:
    with pytest.raises(InputError, match=r"--shares?: submit divides the work by itself"):
        plans(*words)


def test_the_cluster_adds_what_training_there_needs() -> None:
    argv = plans("train", "d", "r", cluster="public-cluster")[0].record.argv
    assert argv[argv.index(str(Path.cwd() / "r")) + 1 :] == (
        "--runtime.gpu-floor", "0.5", "--runtime.gpu-floor-s", "7200",
        "--runtime.scratch", "{scratch}", "--runtime.scratch-gb", "800",
    )  # fmt: skip


def test_what_was_typed_is_not_added_again() -> None:
    words = ("--runtime.scratch", "/mine", "--runtime.gpu-floor=0.2")
    argv = plans("train", "d", "r", *words, cluster="public-cluster")[0].record.argv
    assert not {"{scratch}", "--runtime.scratch-gb", "0.5"} & set(argv)


def test_the_words_that_a_job_runs_are_understood_by_the_command() -> None:
    simple = (("evaluate", "r", "d"), ("finetune", "r", "d", "o", "--preset", "small"), ("verify", "d"))
    simple += (("audit", "d", "--pairs.law", "cyclic", "--page", "a.html"),)
    for words in (("pack", "v", "d"), ("train", "d", "r", "--preflight"), *simple):
        for plan in plans(*words, cluster="public-cluster"):
            run = [word.replace("{share}", "3").replace("{scratch}", "/tmp") for word in plan.record.argv[4:]]
            command_class(words[0]).parse(run, f"avsync {words[0]}")


def test_a_url_stays_what_it_is() -> None:
    plan = plans("train", "https://host//data", "r")[0]
    assert plan.record.words[:2] == ("train", "https://host//data")
    assert not plan.reads


def test_each_job_of_a_chain_knows_all_of_it_and_one_alone_is_no_chain() -> None:
    chain = plans("pack", "v", "d", "--then", "train", "d", "r", "--then", "evaluate", "r", "d")
    line = tuple(str(plan.paths.root) for plan in chain)
    assert [Path(folder).name for folder in line] == ["pack", "pack-merge", "train", "evaluate"]
    assert {plan.record.chain for plan in chain} == {line}
    assert plans("train", "d", "r")[0].record.chain == ()


def test_the_same_job_twice_in_a_chain_is_refused() -> None:
    with pytest.raises(InputError, match="train is in this chain twice"):
        plans("train", "d", "r", "--then", "train", "e", f"{os.curdir}/r")


def test_where_jobs_cannot_requeue_others_wait_in_line() -> None:
    assert [plan.copies for plan in plans("pack", "v", "d", "--then", "train", "d", "r", cluster="no-requeue")] == [
        1,
        7,
        7,
    ]
