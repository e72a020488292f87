"""Times, sizes, numbers of nodes as people write them: SLURM's own ways, with its meaning, and numbers with units.

A time limit and a memory are read as sbatch reads them, so that what worked in a script works here and means the same:
30:00 is half an hour, 64G are 64 GiB. What sbatch itself was seen to do with each form (22.05) is tested on a cluster.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sharding.errors import InputError

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
"""Of disks, which are sold so. Memory is counted as SLURM does: all its units are powers of 1024."""
KIB = {"K": 1, "M": 2**10, "G": 2**20, "T": 2**30}
MINUTE = 60
_AMOUNTS = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]+)", re.ASCII)
_CLOCK = re.compile(r"(?:(?P<days>\d{1,9})-)?(?P<numbers>\d{1,9}(?::\d{1,9}){0,2})", re.ASCII)
_OF_TWO = re.compile(r"\d+:\d+", re.ASCII)
_MEMORY = re.compile(r"(\d{1,15})\s*(?:([KMGT])(?:i?B)?)?", re.ASCII | re.IGNORECASE)
_NODES = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)
AS_SLURM = '"90" and "90:00" are 90 minutes, "12:00:00" 12 hours, "2-0" and "2-00:00:00" 2 days'


def seconds(text: str, name: str) -> int:
    """A duration: "90 min", "1 h 30 min", or as SLURM writes one: minutes:seconds, hours:minutes:seconds, days-hours,
    days-hours:minutes, days-hours:minutes:seconds. `name` says in the error which setting it was. Raises InputError.
    """
    clock = _clock(text.strip())
    if clock is not None and not text.strip().isdecimal():
        return clock
    return _amount(text, SECONDS, f'{name} = "{text}" is no duration; write it like "90 min", "1 h 30 min" or "2 d"')


def time_limit(text: str, name: str) -> int:
    """Seconds of a job's time limit: as SLURM reads it, a number alone are minutes; or with units. Full minutes, as
    SLURM makes of it. Raises InputError, also for a job without a limit.
    """
    written = text.strip()
    if written.upper() in ("UNLIMITED", "INFINITE", "-1"):
        raise InputError(
            f'{name} = "{text}": a job needs a limit, at which it is requeued as long as there is work; '
            "give the longest that the partition allows, as sinfo -o '%P %l' shows it"
        )
    limit = _clock(written)
    if limit is None:
        hint = f'write it like "90 min", "12 h" or "2 d", or as SLURM does: {AS_SLURM}'
        limit = _amount(written, SECONDS, f'{name} = "{text}" is no time limit; {hint}')
    if not limit:
        raise InputError(f'{name} = "{text}" means no limit to SLURM, and a job needs one; {AS_SLURM}')
    return -(-limit // MINUTE) * MINUTE


def _clock(text: str) -> int | None:
    """SLURM's own forms; None for others. Numbers need not stay below 60: sbatch does not ask that either."""
    if not (found := _CLOCK.fullmatch(text)):
        return None
    numbers = [int(number) for number in found["numbers"].split(":")]
    if found["days"] is not None:  # hours come first
        numbers = [int(found["days"]) * 24 + numbers[0], *numbers[1:], 0, 0][:3]
    elif len(numbers) < 3:  # minutes come first
        numbers = [0, *numbers, 0][:3]
    hours, minutes, rest = numbers
    return hours * 3600 + minutes * 60 + rest


def is_of_two(text: str) -> bool:
    """Two numbers, which are minutes and seconds; before November 2026 avsync took them for hours and minutes."""
    return _OF_TWO.fullmatch(text.strip()) is not None


def with_seconds(text: str) -> str:
    """What two numbers meant before, in a form that means it still: hours and minutes."""
    return f"{text.strip()}:00" if is_of_two(text) else text


def memory_mb(text: str, name: str) -> int:
    """MiB of memory, as SLURM reads it: a number alone are MiB; K, M, G and T, with or without B, powers of 1024.

    Raises InputError.
    """
    found = _MEMORY.fullmatch(text.strip())
    if not found:
        raise InputError(
            f'{name} = "{text}" is no memory; write a whole number and K, M, G or T, as SLURM does: "64G" (of 1024 '
            'each), "64 GB" or "64 GiB" mean the same; "64000" or "64000M" are MiB; for 1.5G write 1536M'
        )
    kib = int(found[1]) * KIB[(found[2] or "M").upper()]
    if not kib:
        raise InputError(
            f'{name} = "{text}": for all memory of a node put mem = "0" under [sbatch] in the profile; '
            "for the site's default leave it out"
        )
    return -(-kib // KIB["M"])


def size(text: str, name: str) -> int:
    """Bytes of a disk. Raises InputError."""
    return _amount(text, BYTES, f'{name} = "{text}" is no size; write it like "64 GB"')


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """How many nodes a job may get: one number, or any from the least to the most."""

    least: int
    most: int

    @property
    def is_range(self) -> bool:
        return self.most > self.least

    @property
    def each(self) -> range:
        return range(self.least, self.most + 1)

    def __str__(self) -> str:
        return f"{self.least}-{self.most}" if self.is_range else str(self.least)


def node_counts(text: str | int, name: str) -> NodeCounts:
    """`4`, or `2-4` as SLURM writes a range. Raises InputError."""
    found = _NODES.fullmatch(str(text).strip())
    counts = NodeCounts(int(found[1]), int(found[2] or found[1])) if found else None
    if counts is None or not 1 <= counts.least <= counts.most:
        why = "is no number of nodes"
        if counts is not None:
            why = (
                "must be at least 1" if counts.least < 1 else f"has its ends the wrong way round: {counts.most} is less"
            )
        got = "(nothing)" if text == "" else text
        raise InputError(f"{name} {got} {why}; write 4, or 2-4 for a job that starts on any of 2, 3 or 4 nodes")
    return counts


def spans(numbers: Iterable[int]) -> list[NodeCounts]:
    """These numbers, ascending, as ranges: 2, 4, 5 are `2` and `4-5`."""
    found = list[NodeCounts]()
    for number in numbers:
        if found and found[-1].most == number - 1:
            found[-1] = NodeCounts(found[-1].least, number)
        else:
            found.append(NodeCounts(number, number))
    return found


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


def in_words(number: int) -> str:
    """Seconds as `seconds` reads them: `1 d 12 h`, `30 min`."""
    words = list[str]()
    for unit, length in reversed(SECONDS.items()):
        count, number = divmod(number, length)
        words += [f"{count} {unit}"] * (count > 0)
    return " ".join(words) or "0 s"
