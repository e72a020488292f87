"""Paths as people write them: filled in as a shell would, or refused by the name of what cannot be."""

import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.base.written_paths import home_of, unset_variables, written_path
from sharding.errors import InputError

NAMES = ("HOME", "A", "B_2", "SLURM_TMPDIR")
LITERAL = st.text("ab/ .-%é", max_size=6)
PART = LITERAL | st.sampled_from([f"${name}" for name in NAMES]) | st.sampled_from([f"${{{name}}}" for name in NAMES])
SETTINGS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["", "/disk", "/a b"]))


@given(st.lists(PART), SETTINGS)
def test_variables_are_filled_in_as_python_does_or_those_not_set_are_named(
    parts: list[str], settings: dict[str, str]
) -> None:
    text = "/".join(parts)
    unset = {name for name in NAMES if (f"${name}" in parts or f"${{{name}}}" in parts) and not settings.get(name)}
    assert set(unset_variables(text, settings)) == unset
    if unset:
        with pytest.raises(InputError) as refused:
            written_path(text, "--flag", settings)
        assert str(refused.value).startswith(f"--flag {text}: $")
        assert any(f"${name}" in str(refused.value).partition(": ")[2] for name in unset)
        return
    wanted = text
    for name in sorted(settings, key=len, reverse=True):
        wanted = wanted.replace(f"${{{name}}}", settings[name]).replace(f"${name}", settings[name])
    assert written_path(text, "--flag", settings) == wanted


@pytest.mark.parametrize("text", ["~", "~/", "~/x", "~/a b/~"])
@pytest.mark.parametrize("home", ["/h/me", "/", "/h/me/", "", None])
def test_a_tilde_is_the_home_folder_as_in_a_shell(text: str, home: str | None) -> None:
    own = pwd.getpwuid(os.getuid()).pw_dir
    filled = written_path(text, "", {} if home is None else {"HOME": home})
    assert os.path.normpath(filled) == os.path.normpath(text.replace("~", (home or own).rstrip("/"), 1) or "/")
    assert filled.startswith("/")
    assert not filled.startswith("//")


@pytest.mark.parametrize("text", ["x", "./~", "./~/x", "a~", "x/~/y", "a$", "$/x", "$5", "-", ""])
def test_what_a_shell_leaves_alone_stays(text: str) -> None:
    assert written_path(text, "", {"HOME": "/h"}) == text


def test_another_users_home_is_found_or_the_user_is_named() -> None:
    user = pwd.getpwuid(0)
    assert written_path(f"~{user.pw_name}/x", "") == user.pw_dir.rstrip("/") + "/x"
    with pytest.raises(InputError, match="no user nobody-of-this-name here"):
        written_path("~nobody-of-this-name/x", "--page")


def test_an_account_without_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    assert home_of(environment={}) == ""
    with pytest.raises(InputError, match="--page ~/x: HOME is not set"):
        written_path("~/x", "--page", {})


@pytest.mark.parametrize("text", ["${A:-/tmp}/x", "$(pwd)/x", "${A", "${}"])
def test_what_only_a_shell_can_fill_in_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"only \$NAME"):
        written_path(text, "scratch =", {"A": "/a"})


@pytest.mark.parametrize(("text", "fits"), [("/x", True), ("~", True), ("$A/x", True), ("x", False), ("$B/x", False)])
def test_where_a_whole_path_is_wanted_a_relative_one_is_refused(text: str, fits: bool) -> None:
    settings = {"HOME": "/h", "A": "/a", "B": "b"}
    if fits:
        assert written_path(text, "scratch =", settings, absolute=True).startswith("/")
        return
    with pytest.raises(InputError, match="must begin with /"):
        written_path(text, "scratch =", settings, absolute=True)
