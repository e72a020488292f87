"""The architecture is a test: who may import whom, how long a file may be, and that help needs no torch."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from launch.cli import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGES = ("sharding", "avsync", "launch", "slurm")

# What stands at the top of a package: its rooms, and the few files that belong to no room.
TOP = {
    "sharding": "config errors base format containers media sources faces plan pack verify show advise scenes",
    "avsync": "config presets spec world metrics figures data staging loading models run honesty audit confidence "
    "train evaluate localize score finetune separation replay check curate",
    "launch": "__main__ cli demo commands submit job watch queue site doctor replay",
}
# The ladder of each package: a room imports what stands on lower steps, never a neighbour on its own.
LADDER = {
    "sharding": (
        "errors", "base", "format", "config containers scenes", "media", "sources", "faces", "plan", "pack", "show",
        "verify advise",
    ),
    "avsync": (
        "config", "presets metrics spec", "world figures models", "staging data", "loading", "run",
        "honesty audit confidence", "train evaluate localize", "score finetune separation replay check", "curate",
    ),
    "launch": ("queue site", "job commands", "watch replay", "submit", "doctor", "demo", "cli", "__main__"),
    "slurm": ("cluster", "demo"),
}  # fmt: skip
# Package, or room -> what it may import of the other packages while it is itself imported.
MAY_IMPORT = {
    "sharding": (),
    "avsync": ("sharding.base", "sharding.format", "sharding.errors"),
    "avsync.localize": (
        "sharding.containers",
        "sharding.media",
        "sharding.faces",
    ),  # it sees what pack saw, and draws over its pictures
    "avsync.score": ("sharding.containers", "sharding.media", "sharding.sources.source"),  # what in a folder is a video
    "avsync.curate": (
        "sharding.containers",
        "sharding.media",
        "sharding.faces",
        "sharding.sources",
        "sharding.pack",
    ),  # it finds sources, faces and stretches as pack does, and writes the table that pack reads
    "avsync.separation": ("sharding.media",),  # as localize: it hears what pack heard, and writes films
    "slurm": ("sharding.base", "sharding.errors"),
    "launch": ("sharding.base", "sharding.errors", "avsync.run.paths", "avsync.run.progress"),
}
SETTINGS = re.compile(r"(sharding|avsync)(\.\w+)?\.(config|presets)")
"""What launch may import besides: all that a person can set."""
# Library -> the only modules (by prefix) that may import it, anywhere in the file.
ONLY_IN = {
    "accelerate": ("avsync.train.trainer",),
    "torch": ("avsync",),
    "torchaudio": ("avsync.models", "avsync.data.transforms"),
    "tyro": ("launch",),
    "submitit": ("launch",),
    "jinja2": ("sharding.base.pages",),
    "tensorboard": ("avsync.train.tracking", "avsync.replay.runs"),
    "torch.utils.tensorboard": ("avsync.train.tracking",),
}
# Module prefix -> what it must not import, anywhere in the file.
NEVER_IN = {
    "avsync.train.trainer": ("tarfile", "av", "webdataset", "sharding.format.codec"),
    "avsync.models": (
        "pathlib", "os", "io", "accelerate", "torch.distributed", "av", "sharding.base.files", "sharding.format.index",
    ),
    "avsync.data.order": ("torch", "av"),
    "avsync.data.pairs": ("torch", "av"),
    "avsync.loading.worker": ("torch",),
    "avsync.loading.shape": ("torch",),
    "avsync.run.alarm": ("torch", "numpy"),
    "avsync.run.paths": ("torch", "numpy"),
    "avsync.run.progress": ("torch", "numpy"),
    "sharding.scenes.config": ("av",),
    "sharding.base": ("av", "numpy"),
}  # fmt: skip
LONGEST_FILE, LONGEST_FUNCTION, SHORTEST_FILE = 400, 60, 60
# Files below SHORTEST_FILE, each with its reason.
SHORT = {
    "launch.__main__": "an entry point",
    "launch.doctor.command": "a command, imported for help without its work",
    "launch.job.interface": "Python's own library alone: it is copied to nodes without the rest",
    "launch.queue.sacct": "one of SLURM's programs",
    "sharding.containers.stretches": "what edits and packet times share: without it they import each other",
    "sharding.base.ahead": "faces, and windows for a network, share it",
    "sharding.base.environment": "what a launcher and the work agree on: both packages import it",
    "avsync.train.widen": "a command of its own, for weights that ship",
    "avsync.spec": "a record that all rooms share: without torch, which the networks need",
    "avsync.data.batch": "a record that loading and training share",
    "avsync.data.fingerprint": "a record that runs keep: compared without what it is of",
    "avsync.run.alarm": "a record that training and the batch script share; without numpy",
    "avsync.models.covariance": "a network is one page",
    "avsync.models.spectrum": "a network, and all who use its masks, share it",
    "avsync.score.config": "settings: imported without what they set",
    "avsync.separation.config": "settings: imported without what they set",
}
SHORT_AT_MOST, SKIPS_AT_MOST = 0.15, 20
"""Share of files that may be short at all; places that may be kept from the formatter."""
NAMES_WITHOUT_MEANING = {"utils.py", "util.py", "helpers.py", "common.py", "misc.py"}
# Names that two rooms may give to a file, because they mean the same there.
SAME_MEANING = {
    "config": "settings of the room",
    "command": "the room's commands, as typed",
    "errors": "exceptions",
    "signals": "answers to signals",
    "paths": "names of files in a folder",
    "page": "an HTML page",
    "report": "tables on the terminal",
    "show": "the command show",
    "demo": "a demonstration",
    "plan": "what is to be done, before it is",
    "pool": "worker processes",
    "result": "all that was found, as one record",
    "figures": "pictures of numbers",
    "finetune": "the verb, and its command",
    "__main__": "an entry point",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {module: ast.parse(path.read_text()) for module, path in SOURCES.items()}


def at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported; what stands under TYPE_CHECKING does not."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from at_import(node.orelse)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from at_import(node.body)
        else:
            yield node


def imported(nodes: Iterator[ast.AST], module: str) -> set[str]:
    """Modules that the import statements among `nodes` name; `from a import b` names a.b where that is a module."""
    names = set[str]()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: write imports in full, not relative"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (full & SOURCES.keys()) or {str(node.module)}
    return names


AT_IMPORT = {module: imported(at_import(tree.body), module) for module, tree in TREES.items()}
ANYWHERE = {module: imported(ast.walk(tree), module) for module, tree in TREES.items()}


def is_in(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def room_of(module: str) -> str:
    """`sharding.base` of `sharding.base.files`; a file at the top of its package is its own room."""
    return ".".join(module.split(".")[:2])


STEP = {
    f"{package}.{room}": number
    for package, steps in LADDER.items()
    for number, rooms in enumerate(steps)
    for room in rooms.split()
}


@pytest.mark.parametrize("package", TOP)
def test_the_top_of_a_package_is_its_rooms(package: str) -> None:
    there = {
        path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there - {"__init__"} == set(TOP[package].split())


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down_the_ladder(module: str) -> None:
    package, room = module.split(".")[0], room_of(module)
    if room == package:  # the map of the rooms
        return
    assert room in STEP, f"{module} lies in no room of the ladder"
    for name in AT_IMPORT[module]:
        other = room_of(name)
        if is_in(name, (package,)) and other not in (room, package):
            assert STEP[other] < STEP[room], f"{module} imports {name}, which does not stand below it"


@pytest.mark.parametrize("module", SOURCES)
def test_a_package_knows_of_the_others_what_it_may(module: str) -> None:
    package = module.split(".")[0]
    allowed = MAY_IMPORT[package] + MAY_IMPORT.get(room_of(module), ())
    foreign = {name for name in AT_IMPORT[module] if is_in(name, PACKAGES) and not is_in(name, (package,))}
    strange = {name for name in foreign if not is_in(name, allowed)}
    if package == "launch":
        strange = {name for name in strange if not SETTINGS.fullmatch(name)}
    assert not strange, f"{module} imports {strange}"


ROOMS = sorted(module for module, path in SOURCES.items() if path.name == "__init__.py" and "." in module)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_its_job_what_goes_through_it_and_who_may_import_it(room: str) -> None:
    text = ast.get_docstring(TREES[room]) or ""
    for word in ("In:", "Out:", "Imported by:"):
        assert word in text, f"{room}/__init__.py has no {word!r}"


@pytest.mark.parametrize("package", TOP)
def test_a_package_is_the_map_of_its_rooms(package: str) -> None:
    text = ast.get_docstring(TREES[package]) or ""
    for room in TOP[package].split():
        assert re.search(rf"^    {room}[ /]", text, re.MULTILINE), f"{package}/__init__.py does not name {room}"


@pytest.mark.parametrize("module", [module for module in SOURCES if is_in(module, ("sharding",))])
def test_sharding_knows_nothing_of_the_others_not_even_late(module: str) -> None:
    assert not {name for name in ANYWHERE[module] if is_in(name, ("avsync", "launch", "slurm"))}


def test_the_program_does_not_know_the_test_cluster_nor_the_cluster_the_program() -> None:
    for module, names in ANYWHERE.items():
        strangers = ("avsync", "launch") if is_in(module, ("slurm",)) else ("slurm",)
        assert not {name for name in names if is_in(name, strangers)}, module


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_with_a_place_is_imported_only_there(library: str) -> None:
    users = {module for module, names in ANYWHERE.items() if any(is_in(name, (library,)) for name in names)}
    assert not {module for module in users if not is_in(module, ONLY_IN[library])}


def test_torchaudio_is_imported_late_because_it_fails_beside_other_torch_builds() -> None:
    assert not {module for module, names in AT_IMPORT.items() if any(is_in(name, ("torchaudio",)) for name in names)}


@pytest.mark.parametrize("prefix", NEVER_IN)
def test_a_part_does_not_know_what_it_must_not_know(prefix: str) -> None:
    for module in (module for module in SOURCES if is_in(module, (prefix,))):
        assert not {name for name in ANYWHERE[module] if is_in(name, NEVER_IN[prefix])}, module


def test_no_module_imports_itself_through_others() -> None:
    graph = {module: names & SOURCES.keys() - {module} for module, names in AT_IMPORT.items()}
    while leaves := {module for module, needs in graph.items() if not needs}:
        graph = {module: needs - leaves for module, needs in graph.items() if module not in leaves}
    assert not graph, f"these import each other in a circle, or need one that does: {sorted(graph)}"


@pytest.mark.parametrize("module", SOURCES)
def test_a_file_is_one_noun_or_verb_of_readable_length(module: str) -> None:
    path = SOURCES[module]
    lines = len(path.read_text().splitlines())
    assert path.name not in NAMES_WITHOUT_MEANING, f"{path.name} says nothing about what is in it"
    assert lines <= LONGEST_FILE, f"{path} is longer than {LONGEST_FILE} lines: split it"
    if path.name != "__init__.py":
        assert lines >= SHORTEST_FILE or module in SHORT, (
            f"{path} has {lines} lines: merge it, or give a reason in SHORT"
        )
    for node in ast.walk(TREES[module]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= LONGEST_FUNCTION, f"{module}.{node.name} has {lines} lines, more than {LONGEST_FUNCTION}"


def test_reasons_are_given_for_short_files_only_and_these_are_few() -> None:
    lines = {module: len(SOURCES[module].read_text().splitlines()) for module in SHORT}
    assert not {module for module, count in lines.items() if count >= SHORTEST_FILE}
    files = [path for path in SOURCES.values() if path.name != "__init__.py"]
    assert len(SHORT) <= SHORT_AT_MOST * len(files)


def test_the_formatter_formats() -> None:
    skips = {path: path.read_text().count("# fmt: " + "skip") for path in SOURCES.values()}
    assert sum(skips.values()) < SKIPS_AT_MOST, {str(path): count for path, count in skips.items() if count}


def test_no_two_modules_share_a_name_with_two_meanings() -> None:
    names = Counter(path.stem for path in SOURCES.values() if path.name != "__init__.py")
    shared = {name for name, count in names.items() if count > 1}
    assert shared <= SAME_MEANING.keys(), f"two meanings each: {sorted(shared - SAME_MEANING.keys())}"


NETWORKS = {"avsync.models.paper", "avsync.models.thesis"}
"""Each network calls its parts Video, Audio and Fused."""


def test_no_two_classes_share_a_name() -> None:
    classes = Counter(
        node.name
        for module, tree in TREES.items()
        if module not in NETWORKS
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert not {name for name, count in classes.items() if count > 1}


def test_a_file_of_a_package_is_found_by_its_import_name() -> None:
    folders = {path.parent for path in SOURCES.values()}
    assert not {folder for folder in folders if not (folder / "__init__.py").is_file()}


def test_the_tables_and_the_names_on_the_command_line_agree() -> None:
    from avsync.config import ModelName, PairsName
    from avsync.data.pairs import PAIRS
    from avsync.models import MODELS
    from avsync.presets import PRESETS

    assert set(get_args(ModelName)) == set(MODELS)
    assert set(get_args(PairsName)) == set(PAIRS)
    for name, preset in PRESETS.items():
        assert preset() == preset(), name


GROUPS = re.compile("Config|Options|ForAll")
"""Settings that are groups of settings: their help is that of their class."""


# Modules that declare what can be typed or set: commands and their options, settings of a room, profiles of sites.
SETTING_MODULES = sorted(
    {entry.module for entry in COMMANDS.values()}
    | {module for module in SOURCES if module.endswith(".config")}
    | {"launch.submit.resources", "launch.site.profile"}
)


@pytest.mark.parametrize("module", SETTING_MODULES)
def test_every_setting_has_its_help_under_it(module: str) -> None:
    for config in (node for node in TREES[module].body if isinstance(node, ast.ClassDef)):
        for field, following in pairwise([*config.body, ast.Pass()]):
            if isinstance(field, ast.AnnAssign) and not GROUPS.search(ast.unparse(field.annotation)):
                helps = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
                assert helps, f"{module}.{config.name}.{ast.unparse(field.target)} has no help under it"


HEAVY = {"numpy", "av", "torch", "torchaudio", "tyro", "rich", "matplotlib", "accelerate"}


def loaded_by(*arguments: str) -> set[str]:
    """Top-level modules in memory after `avsync ARGUMENTS`, in a new process."""
    program = (
        "import sys\nfrom launch.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [(), ("--help",), ("--version",), ("pakc",)], ids=str)
def test_the_overview_loads_no_library(arguments: tuple[str, ...]) -> None:
    assert not loaded_by(*arguments) & HEAVY


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_no_torch(command: str) -> None:
    assert not loaded_by(command, "--help") & {"torch", "torchaudio", "accelerate", "matplotlib"}


def test_help_for_scenes_loads_nothing_that_draws_them() -> None:
    assert not loaded_by("scenes", "--help") & {"av", "rich"}


def test_packing_loads_no_torch(tmp_path: Path) -> None:
    assert "torch" not in loaded_by("pack", str(tmp_path / "missing"), str(tmp_path / "dataset"))


def test_a_set_is_scored_without_what_draws_or_compiles(tmp_path: Path) -> None:
    """Of a second of a file, loading these would take three."""
    (video := tmp_path / "torn.mp4").write_bytes(b"nothing")
    loaded = loaded_by("score", str(video), "--json", str(tmp_path / "lines.jsonl"))
    assert "torch" in loaded
    assert not loaded & {"matplotlib", "sympy"}  # torch's compiler brings sympy


@pytest.mark.parametrize("asked", ["avsync.train.trainer", "avsync.score.report"])
def test_what_is_waited_for_at_the_start_brings_nothing_that_draws_or_compiles(asked: str) -> None:
    """Before the first step, and before the first answer."""
    program = f"import sys, {asked}; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "sympy"} & set(run.stdout.split())


def tracked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


# Built from pieces, so that this file does not name what it forbids.
OF_ONE_MACHINE = re.compile(
    "|".join(
        ("/" + "(home|Users|work|root|opt|mnt|scratch)" + r"/[\w.-]+/", "files" + r"\.pythonhosted", r"pypi\." + "org")
    )
)


def test_no_file_names_a_path_or_registry_of_one_machine() -> None:
    found = list[str]()
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # media
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in OF_ONE_MACHINE.finditer(text)]
    assert not found
