"""Durations and sizes as people write them: "90 min", "1 h 30 min", "12:00:00", "64 GB"."""

import re

from sharding.errors import InputError

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_AMOUNTS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?")


def seconds(text: str, name: str) -> int:
    """A duration; `name` says in the error which setting it was.

    Also SLURM's own forms: [days-]hours:minutes[:seconds]. Raises InputError.
    """
    if clock := _CLOCK.fullmatch(text.strip()):
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        return days * 86_400 + hours * 3600 + minutes * 60 + rest
    return _amount(text, SECONDS, f'{name} = "{text}" is no duration; write it like "90 min", "1 h 30 min" or "2 d"')


def size(text: str, name: str) -> int:
    """Bytes. Raises InputError."""
    return _amount(text, BYTES, f'{name} = "{text}" is no size; write it like "64 GB"')


def _amount(text: str, units: dict[str, int], problem: str) -> int:
    found = _AMOUNTS.findall(text)
    if not found or _AMOUNTS.sub("", text).strip() or any(unit not in units for _, unit in found):
        raise InputError(problem)
    return round(sum(float(number) * units[unit] for number, unit in found))


def as_clock(number: int) -> str:
    """Seconds in SLURM's form, D-HH:MM:SS."""
    minutes, rest = divmod(number, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{rest:02}"
