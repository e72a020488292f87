"""Everything a person can set about training, evaluation and localisation. No torch here: help must come at once.

Frozen dataclasses, parsed once by the command line and never assigned to. The line under a field is its help text.
"""

from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from typing import Annotated, Literal

from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError

ModelName = Literal["thesis", "paper", "small", "covariance", "embedding"]
NetworkName = Literal[ModelName, "separate"]
PairsName = Literal["symmetric", "cyclic", "uniform"]
OptimizerName = Literal["sgd", "momentum", "adam", "adamw"]
ObjectiveName = Literal["binary", "choice"]


def exact_seconds(seconds: float) -> Fraction:
    """The decimal number a person wrote, exactly: 0.1 is 1/10, not its nearest binary float."""
    return Fraction(str(seconds))


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """How (picture window, sound window) pairs are drawn from a clip."""

    law: PairsName = "symmetric"
    """symmetric: real windows of one clip, all labels in one step, leaks nothing. To replay mistakes: cyclic, the
    thesis's turned sound, leaks its join; uniform, a sound moved by any shift that fits, leaks its place."""
    window_s: float = 4.0
    """Seconds the network sees."""
    min_shift_s: float = 2.0
    """Smallest distance of the two windows (Owens & Efros: 2.17 s)."""
    max_shift_s: float = 5.9
    """Largest distance of two windows (Owens & Efros: 5.87 s)."""
    sounds: int = 2
    """Sounds that training sets against each picture, evenly spaced over at most max-shift-s, one of them its own;
    more than two need symmetric pairs. Validation, evaluation and audit always take two."""
    mute_samples: int = 0
    """Zero the first N audio samples of every window, as the thesis did (5000, then 10000)."""

    def __post_init__(self) -> None:
        if self.window_s <= 0:
            raise InputError(f"--pairs.window-s {self.window_s} must be above 0")
        if not 0 < self.min_shift_s <= self.max_shift_s:
            raise InputError(
                f"--pairs.min-shift-s {self.min_shift_s} must be above 0 and not above "
                f"--pairs.max-shift-s {self.max_shift_s}"
            )
        if self.mute_samples < 0:
            raise InputError(f"--pairs.mute-samples {self.mute_samples} must not be negative")
        if self.sounds < 2:
            raise InputError(f"--pairs.sounds {self.sounds} must be at least 2: a picture's own, and another one")
        if self.sounds > 2 and self.law != "symmetric":
            raise InputError(
                f"--pairs.sounds {self.sounds} must be 2 for {self.law} pairs: only symmetric ones set more sounds "
                "against a picture"
            )

    @property
    def judged(self) -> "PairConfig":
        """The same pairs as a network is judged with: two sounds for each picture."""
        return replace(self, sounds=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewConfig:
    """What happens to the pictures of a window on the training device."""

    crop: float = 0.875
    """Share of a stored picture's sides that is cut out: at random in training, else the middle. 0.875: 224 of 256."""
    size: int = 0
    """Side in pixels of the square that the cut-out is resized to. 0: as it is cut."""
    flip: bool = True
    """Mirror half of the training windows left to right."""

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise InputError(f"--view.crop {self.crop} must be a share: above 0, at most 1 for the whole picture")
        if not 0 <= self.size <= 4096:
            raise InputError(f"--view.size {self.size} must be 0 (the cut-out's own) to 4096 pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Clips changed in training, never in their time: for datasets of few people, rooms or cameras. 0: not at all."""

    zoom: float = 0
    """Pictures larger or smaller by up to this share, and by half of it out of proportion."""
    turn_deg: float = 0
    """Degrees by which pictures are turned, to either side."""
    drift: float = 0
    """Typical way that the crop drifts within a window, in shares of half its side."""
    tremble: float = 0
    """The same from each picture to the next, in half of the clips, by any amount up to it: crops that follow badly."""
    light: float = 0
    """Contrast by up to the factor exp(light), brightness, and grain with it."""
    tone_db: float = 0
    """Typical decibels by which microphone and room raise or lower the sound, as a whole and by frequency."""
    hiss_db: float = 0
    """Noise in half of the clips, this many decibels below the sound or up to 20 more."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if not 0 <= (value := getattr(self, item.name)) <= 180:
                raise InputError(f"--augment.{item.name.replace('_', '-')} {value} must lie in 0 to 180")

    @property
    def wanted(self) -> bool:
        return self != AugmentConfig()


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Optimiser and learning rate."""

    name: OptimizerName = "momentum"
    """sgd, momentum (SGD with momentum 0.9), adam or adamw."""
    lr: float = 0.01
    """Peak learning rate."""
    weight_decay: float = 1e-4
    """L2 penalty (decoupled for adamw). The thesis learned nothing when it was too high."""
    warmup_steps: int = 500
    """Steps of linear rise from 0 to lr."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up: cosine to zero at the last step, or constant."""
    clip_norm: float = 5.0
    """Gradients longer than this are scaled down to it (Owens & Efros: 5). 0: never."""

    def __post_init__(self) -> None:
        if not 0 < self.lr <= 1e6 or min(self.weight_decay, self.clip_norm, self.warmup_steps) < 0:
            raise InputError(
                f"--optim: lr={self.lr} must be above 0, at most 1e6; weight_decay={self.weight_decay}, "
                f"clip_norm={self.clip_norm} and warmup_steps={self.warmup_steps} must not be negative"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class LowRateConfig:
    """The paper's warm-up stage: first steps on every n-th picture (Owens & Efros, released code: every 4th)."""

    steps: int = 0
    """Steps of the stage; 0: no such stage."""
    every: int = 4
    """Keep every n-th picture during it."""

    def __post_init__(self) -> None:
        if self.steps < 0 or self.every < 1:
            raise InputError(f"--low-rate: steps={self.steps} must not be negative, every={self.every} must be above 0")


UNKNOWN_WAIT_S = 900.0
"""Without a clip for so long who waits for one hangs, as long as nothing is known of how long it takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeparateConfig:
    """How network `separate` is trained to take sounds apart; no other network asks."""

    task: Literal["screen", "blind"] = "screen"
    """screen: what belongs to the picture, and the rest; blind: two sounds, by ear, to compare with."""
    along: bool = False
    """Train the features of --features along; else they stay as they are."""
    mask: Literal["complex", "ratio"] = "complex"
    """complex: of loudness and phase; ratio: of loudness, with the phase of the mixture."""
    spread_db: float = 6.0
    """Two sounds are mixed equally loud, give or take up to half of this each."""

    def __post_init__(self) -> None:
        if not 0 <= self.spread_db <= 60:
            raise InputError(f"--separate.spread-db {self.spread_db} must lie in 0 to 60")


@dataclass(frozen=True, kw_only=True, slots=True)
class RuntimeConfig:
    """How the work is done; a resumed run may change any of it: the clips of a step, and how they are cut, stay."""

    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    workers: int = 0
    """Processes that read and decode, for each process that trains; 0: one per core that it may use."""
    accumulate: int = 1
    """Split each device's share of the batch into this many passes, for memory. Batch norm averages over a pass."""
    prefetch: int = 4
    """Batches decoded ahead."""
    log_every: int = 10
    """Steps between points in TensorBoard."""
    checkpoint_every: int = 500
    """Steps between checkpoints; what a crash can cost. Training goes on while one is written, from a second copy of
    weights and optimiser in memory; where there is no room for that it waits, and says so."""
    keep: int = 3
    """Newest checkpoints kept, besides the best."""
    error_budget: int = 20
    """Unusable clips in a row that stop the run."""
    report_after_s: float = 60
    """Without a clip for so long, say which file every worker is waiting for."""
    stop_after_s: float = 0
    """Without a clip for so long, or twice that without a sign of any other work, stop the run; the same command
    resumes it. 0: learnt, a multiple of what each takes; of what is not known yet 900."""
    hang_floor_s: float = 60
    """No learnt limit is shorter."""
    scratch: str = ""
    """Folder on a disk of this machine for copies of the coming shards, one of each for all ranks and jobs; ~ and
    $VARIABLES are filled in where the training runs. A dataset behind a URL needs it."""
    scratch_gb: float = 0
    """GB that all your copies there may take, those of other jobs included; 0: what the disk gives."""
    gpu_floor: float = 0
    """Share of time, 0 to 1, in which a GPU must be busy, or the site ends the job: warn in time. 0: nobody looks."""
    gpu_floor_s: float = 3600
    """Seconds over which the site averages that."""
    tune: bool = True
    """On a CPU, before a run's first step, measure in which memory order and precision its network is fastest, and keep
    to that; answers differ by rounding. With a GPU, --compile or --model separate: as set."""
    preflight: bool = False
    """First measure the loader alone and the network alone, for some seconds, and say what to expect."""

    def __post_init__(self) -> None:
        if min(self.prefetch, self.log_every, self.checkpoint_every, self.keep, self.error_budget) < 1:
            names = "prefetch, log-every, checkpoint-every, keep and error-budget"
            raise InputError(f"--runtime: {names} must each be at least 1")
        if self.accumulate < 1:
            raise InputError(f"--runtime.accumulate {self.accumulate} must be at least 1: one pass takes all at once")
        if self.workers < 0:
            raise InputError(f"--runtime.workers {self.workers} must not be negative")
        if not 0 < self.report_after_s < float("inf") or not 0 <= self.stop_after_s < float("inf"):
            raise InputError(
                f"--runtime.report-after-s {self.report_after_s} must be a number of seconds above 0, and "
                f"--runtime.stop-after-s {self.stop_after_s} too, or 0 for a limit that is learnt"
            )
        if not 0 < self.hang_floor_s < float("inf"):
            raise InputError(f"--runtime.hang-floor-s {self.hang_floor_s} must be a number of seconds above 0")
        if not 0 <= self.scratch_gb < float("inf"):
            raise InputError(f"--runtime.scratch-gb {self.scratch_gb} must be a number of GB, or 0 for no limit")
        if not 0 <= self.gpu_floor < 1 or not 0 < self.gpu_floor_s < float("inf"):
            raise InputError(
                f"--runtime.gpu-floor {self.gpu_floor} must lie in [0, 1), --runtime.gpu-floor-s above 0, in seconds"
            )
        if self.scratch_gb and not self.scratch:
            raise InputError(f"--runtime.scratch-gb {self.scratch_gb} needs a folder: name it with --runtime.scratch")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training run. The same command again resumes it."""

    model: NetworkName = "paper"
    """Which network; separate: one that takes sounds apart by what another network sees (--features)."""
    steps: int = 100_000
    """Optimiser steps, resumes included."""
    batch: int = 16
    """Clips per optimiser step, over all devices and accumulation together; each gives both labels."""
    balance: float = 0
    """How far groups (people, or videos) of few clips are evened out, by giving their clips more often. 0: not at all;
    1: each group comes as often as the largest; 0.5: one of n times fewer clips sqrt(n) times as rarely."""
    objective: ObjectiveName = "binary"
    """binary: is this sound in sync, each by itself; choice: which of the picture's sounds is, and binary beside it."""
    pointing: float = 0
    """Weight of a second objective that makes maps point: the best place alone must tell. Steps take longer; 0: no."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: mixed precision through autocast. fp32 is torch's: its convolutions use TF32 on a GPU that has it."""
    channels_last: bool = False
    """channels_last_3d memory layout."""
    compile: bool = False
    """torch.compile the network: slow start, faster steps."""
    seed: int = 0
    """Same seed, same data, same machine kind: same run."""
    validate_every: int = 500
    """Steps between validations on fixed pairs of the val split; 0: never."""
    validate_clips: int = 512
    """Clips of the val split used each time, always the same ones."""
    pairs: PairConfig = field(default_factory=PairConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    low_rate: LowRateConfig = field(default_factory=LowRateConfig)
    separate: SeparateConfig = field(default_factory=SeparateConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)

    @property
    def separates(self) -> bool:
        """What is trained takes sounds apart; it says nothing of sync."""
        return self.model == "separate"

    def __post_init__(self) -> None:
        unfit = (self.compile, self.channels_last, self.low_rate.steps, self.pointing)
        if self.separates and (self.batch % 2 or any(unfit)):
            raise InputError(
                f"--model separate mixes clips two by two and needs an even --batch, not {self.batch}; and neither "
                "--compile nor --channels-last nor --low-rate.steps nor --pointing"
            )
        if self.steps < 1 or self.batch < 1:
            raise InputError(f"--steps {self.steps} and --batch {self.batch} must each be at least 1")
        for name, value, most in (("balance", self.balance, 1), ("pointing", self.pointing, 100)):
            if not 0 <= value <= most:
                raise InputError(f"--{name} {value:g} must lie in 0 to {most}")
        if self.objective == "choice" and self.pairs.law != "symmetric":
            raise InputError(
                f"--objective choice needs --pairs.law symmetric, which gives a picture several sounds; "
                f"{self.pairs.law} gives it one"
            )
        if self.optim.warmup_steps >= self.steps:
            raise InputError(
                f"--optim.warmup-steps {self.optim.warmup_steps} must be below --steps {self.steps}: "
                "the learning rate would never reach its peak"
            )
        if self.low_rate.steps > self.steps:
            raise InputError(f"--low-rate.steps {self.low_rate.steps} must not be above --steps {self.steps}")
        if self.validate_every < 0 or self.validate_clips < 1 or not 0 <= self.seed < 2**32:
            raise InputError(
                f"--validate-every {self.validate_every} must not be negative, --validate-clips "
                f"{self.validate_clips} must be at least 1, --seed {self.seed} must lie in 0 to 2**32 - 1"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateConfig:
    """How a trained network is judged."""

    split: Literal["train", "val", "test"] = "test"
    """Which part of the dataset."""
    pairs_per_clip: int = 2
    """Fixed pairs drawn from each clip."""
    batch: int = 16
    """Clips per pass."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    checkpoint: Literal["best", "last"] = "best"
    """best: highest audited accuracy in validation; last: newest."""
    window_s: float = 0
    """Seconds the network sees; 0: as it was trained. Longer ones tell more, of networks that sum over moments."""
    min_shift_s: float = 0
    """Smallest distance of the two sounds' windows; 0: as it was trained."""
    max_shift_s: float = 0
    """Largest distance; 0: as it was trained."""

    def __post_init__(self) -> None:
        if self.pairs_per_clip < 1 or self.batch < 1:
            raise InputError(f"--pairs-per-clip {self.pairs_per_clip} and --batch {self.batch} must be at least 1")
        for flag, value in self._asked.items():
            if not 0 <= value < float("inf"):
                raise InputError(f"--{flag.replace('_', '-')} {value} must be a number of seconds, 0: as trained")

    @property
    def name(self) -> str:
        """For a folder: `test`, or `test-window_s-1.5`."""
        return "-".join((self.split, *(f"{flag}-{value:g}" for flag, value in self._asked.items() if value)))

    @property
    def _asked(self) -> dict[str, float]:
        return {"window_s": self.window_s, "min_shift_s": self.min_shift_s, "max_shift_s": self.max_shift_s}

    def pairs_of(self, trained: PairConfig) -> PairConfig:
        """The pairs that a network is judged with, which was trained with `trained`. Raises InputError."""
        return replace(trained.judged, **{flag: value for flag, value in self._asked.items() if value})


SURE = 0.8
"""Probability from which on an answer about one file is called a verdict."""
REACH_S = 2.0
"""Offsets up to so many seconds are tried of a file."""
TRUST = 2.0
"""How much the evidence of a network counts that was never asked: true of the small network on generated scenes."""
MOST_TRUST = 10.0


def check_question(sure: float, reach_s: float, hop_s: float, trust: float | None) -> None:
    """What score and curate are both told of how a file is asked about. Raises InputError."""
    if not 0.5 <= sure < 1:
        raise InputError(f"--sure {sure} is a probability: at least 0.5, below 1")
    if not 0 < reach_s <= 30:
        raise InputError(f"--reach-s {reach_s} must be above 0 s, and at most 30 s")
    if not 0 <= hop_s <= 60:
        raise InputError(f"--hop-s {hop_s} must be at most 60 s, or 0 to let the length decide")
    if trust is not None and not 0 < trust <= MOST_TRUST:
        raise InputError(f"--trust {trust} must be above 0, and at most {MOST_TRUST:g}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizeConfig:
    """How a heat map video is drawn."""

    output: Annotated[str, IS_PATH] = ""
    """Where to write the mp4; default: RUN/localize/<video name>.mp4. The picture sheet stands beside it as png."""
    overlap: float = 0.5
    """Share of a window that the next one covers again; their maps are blended."""
    strength: float = 0.6
    """Opacity of the hottest colour, 0 to 1."""
    device: Literal["auto", "cpu"] = "auto"
    """auto: the GPU when there is one."""
    checkpoint: Literal["best", "last"] = "best"
    """best: highest audited accuracy in validation; last: newest."""
    crop: Literal["auto", "faces", "all"] = "auto"
    """What the network looks at: each face that is found, or all of the picture. auto: faces, where its dataset was
    packed with --crop."""

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1 or not 0 < self.strength <= 1:
            raise InputError(f"--overlap {self.overlap} must lie in [0, 1), --strength {self.strength} in (0, 1]")
