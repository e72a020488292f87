"""What is switched on and off when training is measured, in the order of importance; and what came of it.

No torch here.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from avsync.config import ModelName
from sharding.base.text import percent

PLATEAU_BELOW = 0.6
"""A loss that stays below this has left the plateau near ln 2 = 0.693."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One way to compute the same steps."""

    precision: Literal["ieee", "tf32", "bf16"] = "bf16"
    """ieee: every float32 product in float32. tf32: convolutions and matrices in tf32, as torch itself has it for
    convolutions, so this is what --precision fp32 means on a GPU. bf16: autocast."""
    channels_last: bool = False
    tuned: bool = False
    """cuDNN tries its algorithms for each shape and takes the fastest."""
    stem: bool = False
    """avsync.models.stem."""
    compiled: bool = False
    """The network and the way from bytes to pictures through torch.compile."""
    fused: bool = False
    """One kernel for the optimiser."""
    per_example: bool = False
    """The pictures' part computed for each sound of a pair again, instead of once."""

    def __str__(self) -> str:
        marks = ("channels_last", "tuned", "stem", "compiled", "fused", "per_example")
        names = {"per_example": "trunk per example"}
        return " + ".join([self.precision, *(names.get(m, m.replace("_", " ")) for m in marks if getattr(self, m))])


LAID_OUT = Setting(channels_last=True, tuned=True)
FIRST = [Setting(precision="tf32"), LAID_OUT, replace(LAID_OUT, stem=True)]
"""What decides most; before anything else."""

LADDER = [Setting(), Setting(precision="ieee"), Setting(channels_last=True), Setting(tuned=True), Setting(stem=True)]
"""One thing at a time."""

COMPILED = [replace(LAID_OUT, compiled=True), replace(LAID_OUT, stem=True, compiled=True, fused=True)]
"""Each costs a minute or more before its first step."""

BESIDE = [
    replace(LAID_OUT, per_example=True),
    replace(LAID_OUT, fused=True),
    replace(LAID_OUT, precision="tf32"),
    replace(LAID_OUT, precision="tf32", stem=True),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A network, how it is computed, and how many clips a step has."""

    network: ModelName
    setting: Setting
    batch: int

    def __str__(self) -> str:
        return f"{self.network}, {self.batch} clips, {self.setting}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """Steps on a batch that lies on the device, over and over. Times are medians, the first steps left out."""

    case: Case
    step_s: float
    launch_s: float
    """The host needs to ask for a step's kernels, on an idle device."""
    kernels_s: float | None
    """In a step, some kernel runs for so long; without a GPU not known."""
    waits: int | None
    """Times in a step that the host waits for the device."""
    first_s: float
    """The first step: compiling and cuDNN's trials are in it, and in nothing else."""
    peak_gb: float | None
    """Most memory in use on the device, after the first steps."""
    tflops: float
    """Needed operations a second: those of the plain network with its trunk shared, forward and backward."""

    @property
    def clips_per_s(self) -> float:
        return self.case.batch / self.step_s

    def __str__(self) -> str:
        return f"{self.case}: {self.clips_per_s:.1f} clips/s, first step {self.first_s:.0f} s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Streamed:
    """Real steps: a dataset, its loader and the network; each alone and both together."""

    case: Case
    form: str
    """The dataset's stored form."""
    sounds: int
    """K: a clip's pair has one or two sounds; fewer cost less."""
    loader_s: float
    """For a batch on the device, when nobody computes."""
    compute_s: float
    """For a step on a batch that lies there."""
    together_s: float
    kernels_s: float | None
    transfer_s: float
    """The copy engine, for a batch."""
    wait_share: float
    """Fraction of the time that the training process stood waiting for a batch."""
    busy: float | None
    """NVML's: fraction of the time in which some kernel ran."""

    @property
    def idle_share(self) -> float | None:
        """Fraction of the time in which no kernel ran: 1 - (a step's kernels, alone) / (a step, together)."""
        return None if self.kernels_s is None else max(0.0, 1 - self.kernels_s / self.together_s)

    @property
    def limit(self) -> str:
        """What keeps the GPU from computing all the time."""
        if self.idle_share is None:
            return "loader" if self.loader_s > self.compute_s else "compute"
        if self.idle_share < 0.02:
            return "none: the GPU computes"
        rest = self.together_s - max(self.loader_s, self.compute_s)
        gaps = {
            "loader": self.loader_s - self.compute_s,
            "launch overhead": self.compute_s - (self.kernels_s or 0),
            "transfer" if rest <= self.transfer_s else "loader and training together: cores or memory": rest,
        }
        return max(gaps, key=lambda name: gaps[name])

    def clips_per_s(self, batch_s: float) -> str:
        """From the seconds of a batch."""
        return f"{self.case.batch / batch_s:.1f}"

    def __str__(self) -> str:
        loader, compute, together = map(self.clips_per_s, (self.loader_s, self.compute_s, self.together_s))
        speeds = f"loader {loader}, compute {compute}, together {together} clips/s"
        idle = "-" if self.idle_share is None else percent(self.idle_share)
        return f"{self.case} from {self.form}: {speeds}, idle {idle}; limit: {self.limit}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """`avsync train` itself, as its own curves show it."""

    case: Case
    form: str
    clips_per_s: float
    wait_share: float
    busy: float | None

    def __str__(self) -> str:
        return f"avsync train {self.case}: {self.clips_per_s:.1f} clips/s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why there are no figures."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where it ran, and its own limits, measured."""

    device: str
    cores: int
    torch: str
    cudnn: str
    bf16_tflops: float
    """A large matrix product of random numbers."""
    copy_gb_s: float
    """Device memory, read and written."""

    def __str__(self) -> str:
        return (
            f"{self.device}, {self.cores} cores, torch {self.torch}, cuDNN {self.cudnn}; measured here: matrices of "
            f"bf16 {self.bf16_tflops:.1f} TFLOP/s, memory {self.copy_gb_s:.0f} GB/s read and written"
        )


@dataclass(kw_only=True, slots=True)
class Results:
    """Everything so far; as JSON beside the tables."""

    command: str
    machine: Machine | None = None
    computed: list[Computed] = field(default_factory=list)
    streamed: list[Streamed] = field(default_factory=list)
    trained: list[Trained] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, row: Any) -> None:
        """One more."""
        if isinstance(row, Machine):
            self.machine = row
        else:
            name = "troubles" if isinstance(row, Trouble) else type(row).__name__.lower()
            getattr(self, name).append(row)

    def best(self, network: ModelName, batch: int) -> Setting | None:
        """The fastest setting so far."""
        rows = [row for row in self.computed if (row.case.network, row.case.batch) == (network, batch)]
        return min(rows, key=lambda row: row.step_s).case.setting if rows else None
