"""The documents are true: links lead somewhere, commands exist, pictures are well formed."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import getsource
from itertools import chain, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from avsync.presets import PRESETS
from launch.cli import COMMANDS
from launch.commands.train import Train
from tests.test_architecture import LADDER, MAY_IMPORT

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "slurm").rglob("*.md"),
        *(ROOT / "benchmarks").glob("*.md"),
    ]
)
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


def anchors(text: str) -> set[str]:
    """Names of the headings as a forge makes them."""
    titles = re.findall(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_link_leads_to_a_file_that_is_there(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), f"{document.name} links to {target}"
        if anchor:
            assert anchor in anchors(path.read_text()), f"{document.name} links to {target}"


def commands_in(text: str) -> Iterator[list[str]]:
    """The avsync commands of all code blocks, as words; `...` and a shell's other words are left out."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    for block in (block for language, block in blocks if language in ("", "sh", "bash", "console")):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            starts = [at for at, word in enumerate(words) if word in ("avsync", ".venv/bin/avsync")]
            starts += [at for at, pair in enumerate(pairwise(words), 1) if pair == ("-m", "launch")]
            yield from (words[start + 1 :] for start in starts)


SHOWN = [(name, words) for name, path in zip(NAMES, DOCUMENTS, strict=True) for words in commands_in(path.read_text())]


@pytest.mark.parametrize(("document", "words"), SHOWN, ids=[f"{name}: {' '.join(words)}" for name, words in SHOWN])
def test_a_command_that_is_shown_can_be_typed(document: str, words: list[str]) -> None:
    assert words, f"{document} shows avsync without a command"
    assert words[0] in COMMANDS, f"{document} shows avsync {words[0]}, which does not exist"
    if not {"--help", "..."} & set(words):
        kind = getattr(import_module(COMMANDS[words[0]].module), COMMANDS[words[0]].kind)
        kind.parse(words[1:], f"avsync {words[0]}")


def test_the_readme_takes_a_newcomer_through_every_step() -> None:
    shown = [words[0] for name, words in SHOWN if name == "README.md"]
    assert [word for word in shown if word in ("pack", "train", "evaluate", "localize")][:4] == [
        "pack",
        "train",
        "evaluate",
        "localize",
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_a_make_target_that_is_shown_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    shown = set(re.findall(r"(?:^|`)make ([a-z-]+)", document.read_text(), flags=re.MULTILINE))
    assert shown <= targets


def test_a_bare_make_tells_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "test", "slurm", "demo", "replay", "cluster-demo", "format", "renew", "clean"):
        assert f"make {target}" in shown


@pytest.mark.parametrize("picture", sorted((ROOT / "docs").rglob("*.svg")), ids=lambda path: path.name)
def test_a_picture_is_well_formed_and_describes_itself(picture: Path) -> None:
    top = ElementTree.parse(picture).getroot()
    assert top.find("{http://www.w3.org/2000/svg}title") is not None
    assert top.find("{http://www.w3.org/2000/svg}desc") is not None


@pytest.mark.parametrize("picture", sorted((ROOT / "docs" / "demo").iterdir()), ids=lambda path: path.name)
def test_the_pictures_of_a_result_are_shown_and_small(picture: Path) -> None:
    assert f"](docs/demo/{picture.name})" in (ROOT / "README.md").read_text()
    assert picture.stat().st_size < 200_000


def test_contributing_draws_the_ladder_that_the_test_holds() -> None:
    for package in ("sharding", "avsync", "launch"):
        steps = [", ".join(rooms.split()) for rooms in LADDER[package] if rooms != "__main__"]
        drawn = re.sub(r"\s+", " ", CONTRIBUTING)
        assert f"{package} {' -> '.join(steps)}" in drawn, f"CONTRIBUTING.md draws another ladder of {package}"


def test_contributing_lists_what_avsync_may_import() -> None:
    rule = re.search(r"^- Of `sharding/`, `avsync/` may import (.*?);", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL)
    assert rule
    assert set(re.findall(r"`([a-z_]+)`", rule[1])) == {name.removeprefix("sharding.") for name in MAY_IMPORT["avsync"]}


def test_the_glossary_leads_to_files_that_are_there() -> None:
    for path in re.findall(r"`((?:sharding|avsync|launch)/[\w/.]+)`", (ROOT / "docs" / "glossary.md").read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_says_how_long_it_takes(name: str) -> None:
    section = (ROOT / "docs" / "networks.md").read_text().partition("## How long it takes")[2].partition("\n## ")[0]
    assert re.search(rf"^\| `{name}` \| {PRESETS[name]().steps:,} \|.*(?:min|h) ", section, flags=re.MULTILINE)
    help_text = getsource(Train)
    assert name in help_text.partition("Settings to start from")[2].partition('"""')[0]


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    explained = (ROOT / "docs" / "dependencies.md").read_text()
    extras = project["optional-dependencies"]
    for document in DOCUMENTS:
        for name in re.findall(r"avsync\[(\w+)\]", document.read_text()):
            assert name in extras, f"{document.name}: there is no extra {name}"
    for requirement in [*project["dependencies"], *chain(*extras.values())]:
        name = re.split(r"[<>=\[]", requirement)[0]
        assert name in explained, f"docs/dependencies.md does not say why {name} is here"
        assert re.search(rf"^{name}==", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE | re.IGNORECASE), (
            name
        )
