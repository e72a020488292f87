"""A finding: what was looked at, what was found, and what follows from it for the profile or the administrator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class SiteVerdict(Enum):
    """How bad it is; the value is its colour."""

    FINE = "green"
    NOTE = "cyan"
    """Good to know, nothing to do."""
    CHANGE = "bold red"
    """Set it, or ask for it."""
    UNKNOWN = "yellow"
    """It could not be found out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SiteFinding:
    """A line of the table."""

    check: str
    found: str
    verdict: SiteVerdict = SiteVerdict.FINE
    advice: str = ""
    """What to do, in a sentence."""
    profile: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings for the profile: name -> value, as TOML."""


def fine(check: str, found: str) -> SiteFinding:
    """All is well."""
    return SiteFinding(check=check, found=found)


def unknown(check: str, why: str) -> SiteFinding:
    """Nobody knows."""
    return SiteFinding(check=check, found=why, verdict=SiteVerdict.UNKNOWN)


def judged(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> SiteFinding:
    """Fine, or to be changed as advised."""
    if well:
        return fine(check, found)
    return SiteFinding(check=check, found=found, verdict=SiteVerdict.CHANGE, advice=advice, profile=profile or {})


def noted(check: str, found: str, well: bool, advice: str, profile: Mapping[str, str] | None = None) -> SiteFinding:
    """Fine, or worth a thought."""
    if well:
        return fine(check, found)
    return SiteFinding(check=check, found=found, verdict=SiteVerdict.NOTE, advice=advice, profile=profile or {})
