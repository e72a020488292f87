"""A finding: what was looked at, what was found, and what follows from it for the profile or the administrator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Verdict(Enum):
    """How bad it is; the value is its colour."""

    FINE = "green"
    NOTE = "cyan"
    """Good to know, nothing to do."""
    CHANGE = "bold red"
    """Set it, or ask for it."""
    UNKNOWN = "yellow"
    """It could not be found out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A line of the table."""

    check: str
    found: str
    verdict: Verdict = Verdict.FINE
    advice: str = ""
    """What to do, in a sentence."""
    profile: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings for the profile: name -> value, as TOML."""


def fine(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, found=found)


def unknown(check: str, why: str) -> Finding:
    """Nobody knows."""
    return Finding(check=check, found=why, verdict=Verdict.UNKNOWN)


def judged(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> Finding:
    """Fine, or to be changed as advised."""
    if well:
        return fine(check, found)
    return Finding(check=check, found=found, verdict=Verdict.CHANGE, advice=advice, profile=profile or {})


def noted(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> Finding:
    """Fine, or worth a thought."""
    if well:
        return fine(check, found)
    return Finding(check=check, found=found, verdict=Verdict.NOTE, advice=advice, profile=profile or {})
