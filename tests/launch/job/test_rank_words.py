"""What a task makes of the words it was given: variables of its node, a scratch folder that the node does not have."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.job.rank import filled_in, scratch_folder
from sharding.base.written_paths import fill_in, variables_in
from tests.slurm.jobs import asked, profile, record

NODE = {"SLURM_TMPDIR": "/local/7", "USER": "me", "SLURMD_NODENAME": "n1", "EMPTY": "", "HOME": "/people/me"}
SIZED = ("--runtime.scratch", "{scratch}", "--runtime.scratch-gb", "800")
LEFT_OUT = 'scratch = "{}" is left out: {}; shards are read from the dataset itself'


def words_of(*argv: str, environment: Mapping[str, str] | None = None, **site: Any) -> tuple[list[str], str]:
    return filled_in(record(Path("/r"), argv, profile(**site), asked()), NODE if environment is None else environment)


@pytest.mark.parametrize(
    ("scratch", "folder"),
    [
        ("$SLURM_TMPDIR/avsync", "/local/7/avsync"),
        ("${SLURM_TMPDIR}/avsync", "/local/7/avsync"),
        ("/scratch/$USER", "/scratch/me"),
        ("/scratch", "/scratch"),
        ("/a$$b", "/a$b"),
    ],
)
def test_a_scratch_folder_that_the_node_has_is_filled_in(scratch: str, folder: str) -> None:
    assert words_of("python", *SIZED, "--batch", "4", scratch=scratch) == (
        ["python", "--runtime.scratch", folder, "--runtime.scratch-gb", "800", "--batch", "4"], ""
    )  # fmt: skip
    for typed in (("--runtime.scratch", scratch), (f"--runtime.scratch={scratch}",)):
        assert words_of("python", *typed, scratch="/other") == (["python", "--runtime.scratch", folder], "")


@pytest.mark.parametrize(
    ("scratch", "why"),
    [
        ("$NOWHERE/avsync", "NOWHERE is not set on n1"),
        ("$EMPTY/avsync", "EMPTY is not set on n1"),
        ("$NOWHERE/${EMPTY}x", "NOWHERE and EMPTY are not set on n1"),
        ("here", "it is no full path"),
        ("~nobody-of-that-name/x", "it is no full path"),
    ],
)
def test_one_that_the_node_does_not_have_is_left_out_with_its_size_and_a_word(scratch: str, why: str) -> None:
    said = LEFT_OUT.format(scratch, why)
    assert words_of("python", *SIZED, "--batch", "4", scratch=scratch) == (["python", "--batch", "4"], said)
    assert words_of("python", f"--runtime.scratch={scratch}", "--runtime.scratch_gb=8", "x") == (["python", "x"], said)


def test_home_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/people/me")
    assert scratch_folder("~/scratch", NODE) == ("/people/me/scratch", "")


@given(st.lists(st.sampled_from(["$SLURM_TMPDIR", "${USER}", "$NOWHERE", "$EMPTY", "/", "a", "~", "$", "$$", " "])))
def test_no_folder_is_ever_named_after_a_variable_or_lies_where_the_job_was_submitted(parts: list[str]) -> None:
    folder, why = scratch_folder("".join(parts), NODE)
    assert bool(folder) != bool(why)
    assert not folder or os.path.isabs(folder)
    for name in ("SLURM_TMPDIR", "USER", "NOWHERE", "EMPTY"):
        assert f"${name}" not in folder or "$$" in "".join(parts)


def test_the_share_of_an_arrays_task_is_filled_in() -> None:
    task = NODE | {"AVSYNC_SHARE_OFFSET": "5", "SLURM_ARRAY_TASK_ID": "2"}
    assert words_of("pack", "--share", "{share}", environment=task) == (["pack", "--share", "7"], "")


def test_all_other_words_stay_as_they_are() -> None:
    odd = ("python", "/a $USER/~", "$(x);&", "--page=$NOWHERE", "")
    assert words_of(*odd) == (list(odd), "")


@given(st.text(max_size=40))
def test_a_text_without_variables_stays_but_for_doubled_dollars(text: str) -> None:
    filled = fill_in(text, NODE)
    if not variables_in(text):
        assert filled == (text.replace("$$", "$"), ())
    assert set(filled.unset) == {name for name in variables_in(text) if not NODE.get(name)}
