"""What loading costs, stage by stage: what a user looks at to see why a GPU starves."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFigures:
    """Means over the time since they were last taken."""

    read_ms: float
    """Of a worker, for a clip: from disk or page cache into memory, checksum included."""
    decode_ms: float
    """Of a worker, for a clip."""
    wait_s: float
    """The consumer stood still, all batches together."""
    transfer_ms: float
    """Of the GPU's copy engine, for a batch; 0 without a GPU."""
    queue: float
    """Batches that lay ready when one was asked for; 0: loading is the limit, prefetch: the network is."""
    megabytes: float
    """Read from shards, all clips together, MB."""


@dataclass(slots=True)
class LoadMeter:
    """Sums of one loader; `take` gives the means and begins anew."""

    clips: int = 0
    bytes: int = 0
    read_ns: int = 0
    decode_ns: int = 0
    batches: int = 0
    ready: int = 0
    waited_ns: int = 0
    replaced: int = 0
    """Workers that died, and others took their place; never set back."""
    _copies: list[tuple[torch.cuda.Event, torch.cuda.Event]] = field(default_factory=list)

    def clip(self, size: int, read_ns: int, decode_ns: int) -> None:
        self.clips, self.bytes = self.clips + 1, self.bytes + size
        self.read_ns, self.decode_ns = self.read_ns + read_ns, self.decode_ns + decode_ns

    def batch(self, waited_ns: int, ready: int) -> None:
        self.batches, self.waited_ns, self.ready = self.batches + 1, self.waited_ns + waited_ns, self.ready + ready

    def copy(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> None:
        self._copies.append((begin, end))

    def take(self) -> LoadFigures:
        """Waits for nothing: copies still under way are left out."""
        copied = [begin.elapsed_time(end) for begin, end in self._copies if end.query()]
        figures = LoadFigures(
            read_ms=self.read_ns / 1e6 / max(1, self.clips), decode_ms=self.decode_ns / 1e6 / max(1, self.clips),
            wait_s=self.waited_ns / 1e9, transfer_ms=sum(copied) / max(1, len(copied)),
            queue=self.ready / max(1, self.batches), megabytes=self.bytes / 1e6,
        )  # fmt: skip
        self.clips = self.bytes = self.read_ns = self.decode_ns = self.batches = self.ready = self.waited_ns = 0
        self._copies.clear()
        return figures
