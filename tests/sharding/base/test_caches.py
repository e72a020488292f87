"""sharding/base/caches.py: where torch itself looks for what it has compiled, whatever a neighbour has prepared."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sharding.base.trusted import exposed, exposed_inside
from tests.neighbour import NEIGHBOUR, intruded, open_folder, root_only

ROOT = Path(__file__).parents[3]
CACHES = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH", "TORCHINDUCTOR_CACHE_DIR")
SETTLED = """
import json, os, sys, tempfile
from torch._inductor.runtime.cache_dir_utils import cache_dir, default_cache_dir, triton_cache_dir
from sharding.base.surroundings import settle_account
for case in json.load(sys.stdin):
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        os.environ.clear()
        os.environ.update(case)
        tempfile.tempdir = None
        os.dup2(os.open(case["SAID"], os.O_WRONLY | os.O_CREAT), 2)
        settle_account(compiles=True)
        found = {"torch": [cache_dir(), default_cache_dir(), triton_cache_dir(0)], "after": dict(os.environ)}
        print(json.dumps(found), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What a process finds."""

    folders: list[Path]
    """Of torch: its cache, its default, which it uses besides, and triton's."""
    after: dict[str, str]
    said: str


def settled(*cases: dict[str, str]) -> list[Settled]:
    """Each in a process of its own, with the variables of the case; torch is loaded once for all."""
    hidden = {*CACHES, "XDG_CONFIG_HOME", "PYTHONPYCACHEPREFIX"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    whole = [kept | {"LOGNAME": "mira", "SAID": f"{case['TMPDIR']}/../said{number}"} | case
             for number, case in enumerate(cases)]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", SETTLED], input=json.dumps(whole), env=kept | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    return [
        Settled(folders=[Path(one) for one in each["torch"]], after=each["after"], said=Path(case["SAID"]).read_text())
        for each, case in zip(found, whole, strict=True)
    ]


def of_others(path: Path, mode: int) -> None:
    path.mkdir()
    path.chmod(mode)
    os.chown(path, NEIGHBOUR, NEIGHBOUR)


def link_of_others(path: Path, target: Path) -> None:
    path.symlink_to(target)
    os.chown(path, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)


def mine(path: Path, mode: int, group: int = 0) -> None:
    path.mkdir(exist_ok=True)
    if group:
        os.chown(path, 0, group)
    path.chmod(mode)


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "made by another, open": lambda at, _: of_others(at, 0o777),
    "made by another, closed": lambda at, _: of_others(at, 0o755),
    "made by another, closed to all": lambda at, _: of_others(at, 0o700),
    "a link of another to a folder of theirs": lambda at, theirs: link_of_others(at, theirs),
    "a link of another to a folder of mine": lambda at, theirs: link_of_others(at, theirs.with_name("home")),
    "a link of mine to a folder of theirs": lambda at, theirs: at.symlink_to(theirs),
    "mine, open to all": lambda at, _: mine(at, 0o777),
    "mine, open to all and sticky": lambda at, _: mine(at, 0o1777),
    "mine, open to a group": lambda at, _: mine(at, 0o2775, NEIGHBOUR),
}


def trapped(folder: Path) -> dict[str, dict[str, str]]:
    """Accounts around which a neighbour was busy."""
    cases = dict[str, dict[str, str]]()
    for number, (name, trap) in enumerate(TRAPS.items()):
        for where in ("default", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
            root = folder / f"{number}{where}"
            (root / "home").mkdir(parents=True)
            mine(root / "tmp", 0o1777)
            of_others(root / "theirs", 0o777)
            case = {"HOME": str(root / "home"), "TMPDIR": str(root / "tmp")}
            trap(root / "tmp/torchinductor_mira" if where == "default" else root / "chosen", root / "theirs")
            cases[f"{name}: {where}"] = case | ({} if where == "default" else {where: str(root / "chosen")})
    for name, spoil in {
        "TMPDIR is not sticky": lambda root: mine(root / "tmp", 0o777),
        "TMPDIR is of another": lambda root: of_others(root / "tmp", 0o755),
        "TMPDIR lies in a folder of another": lambda root: os.chown(root, NEIGHBOUR, NEIGHBOUR),
    }.items():
        root = folder / name
        root.mkdir()
        spoil(root)
        (root / "tmp").mkdir(exist_ok=True)
        cases[name] = {"HOME": str(folder / "home"), "TMPDIR": str(root / "tmp")}
    return cases


def test_no_neighbour_can_put_anything_where_torch_finds_what_it_compiled() -> None:
    """And what is a user's own stays where it is, also for the next process."""
    with open_folder() as folder:
        mine(folder / "tmp", 0o1777)
        base = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
        chosen = {name: str(folder / name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
        cases = trapped(folder) if os.geteuid() == 0 else {}
        first, second, own, *others = settled(base, base, base | chosen, *cases.values())
        for (name, case), got in zip(cases.items(), others, strict=True):
            made = [path for path in got.folders if path.is_dir()]
            assert made, name
            assert not intruded(made, groups=[NEIGHBOUR]), name
            assert not any(exposed(path) for path in got.folders), name
            a_choice = ": default" not in name or "TMPDIR" in name  # of another: told whoever chose it
            assert got.said.count("\n") == (a_choice or "another" in name or "theirs" in name), (name, got.said)
            assert got.after["HOME"] == case["HOME"]
    usual = folder / "tmp/torchinductor_mira"
    assert first.folders == second.folders == [usual, usual, usual / "triton/0"]
    assert own.folders == [Path(chosen["TORCHINDUCTOR_CACHE_DIR"]), usual, Path(chosen["TRITON_CACHE_DIR"])]
    for got in (first, second, own):
        assert not got.said
        assert got.after["TMPDIR"] == base["TMPDIR"]


@root_only
def test_who_may_change_a_path_is_told_as_the_system_has_it() -> None:
    """Against what the neighbour can really do, over every mode of a folder and of the one above it."""
    with open_folder() as folder:
        for above in (0o700, 0o711, 0o755, 0o775, 0o777, 0o1777):
            for mode in (0o700, 0o755, 0o775, 0o777, 0o1777):
                for owner in (0, NEIGHBOUR):
                    root = folder / f"{above:o}-{mode:o}-{owner}"
                    (root / "in").mkdir(parents=True)
                    (root / "in").chmod(mode)
                    os.chown(root / "in", owner, NEIGHBOUR)
                    os.chown(root, 0, NEIGHBOUR)
                    root.chmod(above)
                    can = intruded([root / "in"], groups=[NEIGHBOUR])
                    assert bool(exposed(root / "in")) >= bool(can), f"{root.name}: {can}"
                    if owner == 0 and above != 0o700:  # what another owns is never taken, though closed
                        assert bool(exposed(root / "in")) == bool(can), f"{root.name}: {can}"
        assert not exposed_inside(folder / "1777-755-0")
        assert exposed(folder / "1777-755-0")
        assert not exposed(folder / "1777-755-0" / "new")
