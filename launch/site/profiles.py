"""Finds a cluster's profile by its name: a file's path, the user's own folder, then those that come with avsync."""

import os
import re
import tomllib
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

import msgspec

import launch
from launch.site.profile import ClusterProfile, Occasion, Requeue, check_profile
from sharding.base.written_paths import home_of, typed_path
from sharding.errors import AvsyncError, InputError

SUFFIX = ".toml"
NAME_VARIABLE = "AVSYNC_CLUSTER"
"""Environment variable that names the cluster where --cluster is not typed."""
SHIPPED = Path(launch.__file__).parent.parent / "slurm" / "profiles"
CHOICES = {"requeue": get_args(Requeue), "notify.on": get_args(Occasion)}
"""Settings of which there are so many."""
_PLACE = re.compile(r" - at `\$\.?(?P<key>[^`]*)`")


def own_folder() -> Path | None:
    """Where a user's own profiles lie; None for an account without a home."""
    base = os.environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if (home := home_of()) else "")
    return Path(base, "avsync", "clusters") if base else None


def known_profiles() -> dict[str, Path]:
    """Name -> file; of two with the same name the user's own."""
    return {path.stem: path for folder in (SHIPPED, own_folder()) if folder for path in _profiles_in(folder)}


def _profiles_in(folder: Path) -> list[Path]:
    """None where it cannot be looked into: a home that is away, or another user's."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)
    except OSError:
        return []


def find_profile(name: str) -> ClusterProfile:
    """The profile of a cluster: `name` as typed, or from the environment when empty.

    Raises InputError when there is none, or when it has a setting that cannot be.
    """
    name = name or typed_path(os.environ.get(NAME_VARIABLE, ""), NAME_VARIABLE)
    if not name:
        raise InputError(f"--cluster NAME is missing, and {NAME_VARIABLE} is not set; {_choices()}")
    if os.sep in name or name.endswith(SUFFIX):
        return read_profile(Path(name))
    known = known_profiles()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else _choices()
        raise InputError(f"--cluster {name}: there is no profile of that name; {hint}")
    return read_profile(known[name])


def _choices() -> str:
    names = ", ".join(known_profiles()) or "none"
    own = f"your own go to {folder}/NAME{SUFFIX}, or " if (folder := own_folder()) else ""
    return f"there are {names}; {own}name a file: ./NAME{SUFFIX}"


def read_profile(path: Path) -> ClusterProfile:
    """A file as a profile. Raises InputError that names file and setting."""
    try:
        settings = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read the profile {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    _refuse_unknown(settings, ClusterProfile, "", path)
    try:
        profile = replace(msgspec.convert(settings, ClusterProfile), name=path.stem)
        check_profile(profile)
        return profile
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_placed(str(error))}") from error
    except AvsyncError as error:
        raise InputError(f"{path}: {error}") from error


def _placed(problem: str) -> str:
    """What msgspec says, with the setting first."""
    place = _PLACE.search(problem)
    key, problem = (place["key"], _PLACE.sub("", problem)) if place else ("the profile", problem)
    hint = "; write it in quotes" if problem.startswith("Expected `str") else ""
    if choices := CHOICES.get(key.partition("[")[0]):
        hint = f"; there are {', '.join(choices)}"
    return f"{key}: {problem[0].lower()}{problem[1:]}{hint}"


def _refuse_unknown(given: dict[str, Any], kind: Any, above: str, path: Path) -> None:
    """A typing error must not pass for a setting that is left out."""
    settings = {field.name: field.type for field in fields(kind) if field.name != "name" or above}
    for key, value in given.items():
        if key not in settings:
            near = get_close_matches(key, settings, n=1)
            hint = f"did you mean {above}{near[0]}?" if near else f"there are {', '.join(settings)}"
            raise InputError(f"{path}: the setting {above}{key} is not known; {hint}")
        if is_dataclass(settings[key]) and isinstance(value, dict):
            _refuse_unknown(value, settings[key], f"{above}{key}.", path)
