"""events.jsonl: everything that was drawn, done and seen, a line each, so that a run can be told again."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A line."""

    at: str
    """Local time, as SLURM's logs have it."""
    s: float
    """Seconds since the begin."""
    who: str
    """work, gremlin, undo, heal or check."""
    what: str
    order: str = ""
    """Whose; empty: everybody's."""
    job: str = ""
    """SLURM's number."""
    detail: str = ""


@dataclass(slots=True)
class Journal:
    """Written line by line: what a crash of this program leaves is whole."""

    path: Path
    lines: list[Noted] = field(default_factory=list[Noted])
    _began: float = field(default_factory=time.monotonic)

    def note(self, who: str, what: str, *, order: str = "", job: str = "", detail: str = "") -> None:
        """Add a line, and show it."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S")
        line = Noted(at=at, s=round(self.now(), 1), who=who, what=what, order=order, job=job, detail=detail.strip())
        self.lines.append(line)
        with self.path.open("ab") as file:
            file.write(msgspec.json.encode(asdict(line)) + b"\n")
        print(told(line), flush=True)

    def now(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._began

    def around(self, order: str) -> Iterator[Noted]:
        """What happened to an order, and to everybody since it was first named, in order."""
        own = [number for number, line in enumerate(self.lines) if line.order == order]
        yield from (line for line in self.lines[min(own, default=0) :] if line.order in (order, ""))


def told(line: Noted) -> str:
    """For a person."""
    whose = " ".join(filter(None, (line.order, line.job and f"job {line.job}")))
    detail = repr(line.detail[:260]) if line.detail else ""
    return f"{line.s:7.1f} {line.who:8} {line.what:24} {whose:16} {detail}".rstrip()
