"""What loading costs, stage by stage: what a user looks at to see why a GPU starves."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFigures:
    """Means over the time since they were last taken."""

    seconds: float
    """That time."""
    read_ms: float
    """Of a worker, for a clip: from disk or page cache into memory, checksum included."""
    decode_ms: float
    """Of a worker, for a clip."""
    wait_ms: float
    """The consumer stood still, for a batch."""
    wait_share: float
    """... of all time, 0 to 1."""
    step_ms: float
    """The consumer did something else, for a batch."""
    transfer_ms: float
    """Of the GPU's copy engine, for a batch; 0 without a GPU."""
    ready: float
    """Batches that lay ready when one was asked for; 0: loading is the limit, prefetch: the network is."""
    megabytes_per_s: float
    """Read from shards."""
    replaced: int
    """Workers that died and were replaced, in all."""


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

    def take(self, seconds: float) -> LoadFigures:
        """Means over the `seconds` since the last call. Waits for nothing: copies still under way are left out."""
        copied = [begin.elapsed_time(end) for begin, end in self._copies if end.query()]
        batches, clips, waited = max(1, self.batches), max(1, self.clips), self.waited_ns / 1e9
        figures = LoadFigures(
            seconds=seconds,
            read_ms=self.read_ns / 1e6 / clips,
            decode_ms=self.decode_ns / 1e6 / clips,
            wait_ms=1e3 * waited / batches,
            wait_share=min(1.0, waited / seconds),
            step_ms=1e3 * max(0.0, seconds - waited) / batches,
            transfer_ms=sum(copied) / max(1, len(copied)),
            ready=self.ready / batches,
            megabytes_per_s=self.bytes / 1e6 / seconds,
            replaced=self.replaced,
        )
        self.clips = self.bytes = self.read_ns = self.decode_ns = self.batches = self.ready = self.waited_ns = 0
        self._copies.clear()
        return figures
