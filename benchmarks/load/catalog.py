"""The ways of loading that are compared, the limits beside them, and what is wanted of their ratios."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from benchmarks.base.table import Target
from benchmarks.load.job import Form, Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One way. Its module is imported in the process that runs it: a peer's library is seen nowhere else."""

    source: str
    """`module:class` below benchmarks."""
    stored: Literal["raw", "h264"]
    """Which dataset it gets."""
    form: Form | None = "planes"
    """What it hands over; None: a limit, nothing."""
    prepare: str = ""
    """`module:function` that writes its own copy; empty: it reads the dataset."""
    peer: str = ""
    """Which environment of PEERS it needs; empty: the project's own."""
    cold: bool = False
    """Whether it is run with a cold page cache, too."""

    @property
    def copy(self) -> str:
        """Name of its copy's folder: ways with the same preparer share one."""
        return f"{self.prepare.partition(':')[0].removeprefix('peers.')}-{self.stored}"

    def files(self, job: Job) -> list[Path]:
        """What it reads."""
        if not self.prepare:
            return job.tars()
        return sorted(path for path in job.copy.rglob("*") if path.is_file())


def named(place: str) -> Callable:
    """A `module:name` below benchmarks."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"benchmarks.{module}"), name)


OURS = {
    "avsync raw": Entry(source="load.ways:Planes", stored="raw", cold=True),
    "avsync raw, as it lies": Entry(source="load.ways:AsItLies", stored="raw"),
    "avsync h264": Entry(source="load.ways:Planes", stored="h264"),
    "avsync h264, RGB": Entry(source="load.ways:RGB", stored="h264", form="rgb"),
}
PEER_WAYS = {
    "webdataset raw": Entry(source="peers.webdataset:Raw", stored="raw", cold=True),
    "mosaic raw": Entry(
        source="peers.mosaic:Streaming", prepare="peers.mosaic:prepare", stored="raw", peer="mosaic", cold=True
    ),
    "energon raw": Entry(
        source="peers.energon:Energon", prepare="peers.energon:prepare", stored="raw", peer="energon", cold=True
    ),
    "litdata raw": Entry(
        source="peers.litdata:Chunks", prepare="peers.litdata:prepare", stored="raw", peer="litdata", cold=True
    ),
    "DataLoader raw": Entry(source="peers.torch_loader:Pread", stored="raw", cold=True),
    "pth float32": Entry(source="peers.thesis:Pth", prepare="peers.thesis:prepare", stored="raw", form="float"),
    "pth float32, DataLoader": Entry(
        source="peers.thesis:PthLoader", prepare="peers.thesis:prepare", stored="raw", form="float"
    ),
    "webdataset h264": Entry(source="peers.webdataset:ToPlanes", stored="h264"),
    "webdataset h264, RGB": Entry(source="peers.webdataset:ToRGB", stored="h264", form="rgb"),
    "source video, RGB": Entry(source="peers.thesis:OnTheFly", stored="h264", form="rgb"),
}
LIMITS = {
    "limit: read tar": Entry(source="load.ways:ReadTars", stored="raw", form=None, cold=True),
    "limit: copy": Entry(source="load.ways:Copy", stored="raw", form=None),
    "limit: decode": Entry(source="load.ways:Decode", stored="h264", form=None),
}
ENTRIES = OURS | PEER_WAYS | LIMITS


TARGETS = (
    Target(above="avsync raw", below="webdataset raw", limit=5),
    Target(above="avsync raw", below="mosaic raw", limit=4),
    Target(above="avsync raw", below="energon raw", limit=4),
    Target(above="avsync raw, as it lies", below="webdataset raw", limit=5),
    Target(above="avsync raw, as it lies", below="mosaic raw", limit=4),
    Target(above="avsync raw, as it lies", below="energon raw", limit=4),
    Target(above="avsync raw, as it lies", below="litdata raw", limit=3.5),
    Target(above="avsync raw, as it lies", below="DataLoader raw", limit=3.5),
    Target(above="avsync raw", below="litdata raw", limit=3.5),
    Target(above="avsync raw", below="DataLoader raw", limit=3.5),
    Target(above="avsync raw", below="pth float32", limit=12),
    Target(above="avsync raw", below="webdataset raw", limit=2, under="cold"),
    Target(above="avsync h264", below="webdataset h264, RGB", limit=3.5),
    Target(above="avsync h264, RGB", below="webdataset h264, RGB", limit=2.5),
    Target(above="avsync h264", below="limit: decode", limit=1.0),
    Target(above="avsync h264", below="pth float32", limit=1.5),
)
TARGET_WORKERS = 2
FIRST_S = 0.5
"""To the first batch, at most; ours."""
PEAK_MB = 1000
"""Of memory, at most; ours."""
