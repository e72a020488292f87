"""Where SLURM's programs are on this machine: installed, or unpacked into a folder; and what is missing."""

import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sharding.errors import InputError

UNPACKED = Path(__file__).parents[2] / ".slurm"
"""Where `install` unpacks the packages when it may not install them."""
PACKAGES = {
    "munged": "munge",
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmstepd": "slurmd",
    "sbatch": "slurm-client",
    "srun": "slurm-client",
    "scontrol": "slurm-client",
    "squeue": "slurm-client",
    "sinfo": "slurm-client",
    "scancel": "slurm-client",
    "sacct": "slurm-client",
}
"""Program -> Debian package, of what every cluster needs."""
ACCOUNTING_PACKAGES = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server-core"}
HOW = "get them with `python -m slurm.cluster install`"


@dataclass(frozen=True, kw_only=True, slots=True)
class Programs:
    """The folders of SLURM's programs. `root` is where the packages were unpacked, / where they are installed."""

    root: Path

    @property
    def is_unpacked(self) -> bool:
        return self.root != Path("/")

    @property
    def folders(self) -> list[Path]:
        own = [self.root / name for name in ("usr/sbin", "usr/bin")]
        found = [] if self.is_unpacked else [Path(name) for name in os.get_exec_path()]
        return [*found, *(folder for folder in own if folder not in found)]

    def find(self, name: str) -> Path | None:
        found = shutil.which(name, path=os.pathsep.join(map(str, self.folders)))
        return Path(found) if found else None

    def path_of(self, name: str) -> Path:
        """The program's file. Raises InputError when there is none."""
        found = self.find(name)
        if found is None:
            package = (PACKAGES | ACCOUNTING_PACKAGES).get(name, "slurm-client")
            raise InputError(f"{name} is not on this machine: it is in the Debian package {package}; {HOW}")
        return found

    def missing(self, *, accounting: bool) -> dict[str, str]:
        """Program -> package, of what a cluster lacks here."""
        needed = PACKAGES | (ACCOUNTING_PACKAGES if accounting else {})
        return {name: package for name, package in needed.items() if self.find(name) is None}

    def check(self, *, accounting: bool) -> None:
        """Raise InputError that names the programs and packages that are missing."""
        if missing := self.missing(accounting=accounting):
            names, packages = ", ".join(missing), ", ".join(dict.fromkeys(missing.values()))
            raise InputError(f"a cluster needs {names}, not found here (Debian packages {packages}); {HOW}")

    @property
    def libraries(self) -> list[Path]:
        """Folders for LD_LIBRARY_PATH; none where the packages are installed."""
        return list(self._libraries()) if self.is_unpacked else []

    def _libraries(self) -> Iterator[Path]:
        for top in ("usr/lib", "lib"):
            for folder in sorted((self.root / top).glob("*-linux-*")):
                yield folder
                yield from (folder / name for name in ("slurm-wlm",) if (folder / name).is_dir())

    @property
    def plugins(self) -> Path | None:
        """SLURM's plugins, where they are not at their usual place."""
        found = [folder for folder in self.libraries if folder.name == "slurm-wlm"]
        return found[0] if found else None

    @property
    def mariadb_texts(self) -> Path:
        """MariaDB's messages, character sets and the SQL of its system tables."""
        return self.root / "usr/share/mysql"

    def environment(self) -> dict[str, str]:
        """This process's environment, free of other clusters and jobs, with the programs found first."""
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "SRUN_"))
        }
        folders = [str(folder) for folder in self.folders]
        path = [*folders, *os.get_exec_path()] if self.is_unpacked else folders
        kept["PATH"] = os.pathsep.join(dict.fromkeys(path))
        if self.libraries:
            old = [kept["LD_LIBRARY_PATH"]] if kept.get("LD_LIBRARY_PATH") else []
            kept["LD_LIBRARY_PATH"] = os.pathsep.join([*map(str, self.libraries), *old])
        return kept


def find_programs() -> Programs:
    """The installed programs where they are complete, else the unpacked ones; the better of the two otherwise."""
    choices = [Programs(root=Path("/")), Programs(root=UNPACKED)]
    return min(choices, key=lambda one: (len(one.missing(accounting=False)), len(one.missing(accounting=True))))


# A PATH that lacks some programs, as on a machine where they are not installed.


def path_without(programs: Collection[str], path: str, folder: Path) -> str:
    """`path` with each folder that holds one of `programs` replaced by links, below `folder`, to all others in it."""
    kept = list[str]()
    for number, entry in enumerate(path.split(os.pathsep)):
        holds_one = any(os.path.lexists(os.path.join(entry, program)) for program in programs)
        kept.append(str(_linked(Path(entry), folder / str(number), programs)) if holds_one else entry)
    return os.pathsep.join(kept)


def _linked(folder: Path, links: Path, without: Collection[str]) -> Path:
    if not links.exists():
        links.mkdir(parents=True)
        for entry in folder.iterdir():
            if entry.name not in without:
                (links / entry.name).symlink_to(entry)
    return links
