"""The record that flows from source video to batch: one clip, its clock, and what its json says.

Anyone may import this. Knows no tar, no ffmpeg, no torch.
Changing a field here changes the shards on disk: raise FORMAT_VERSION with it.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from sharding.errors import InputError
from sharding.format.crop import Box, ClipCrop, Polygon

FORMAT_VERSION = 2
KEY_DIGITS = 8
"""Of a first frame in a key: 38 days at 30 fps."""
MAX_SIDE = 4096
"""Pixels of a stored picture's longer side."""
MAX_FPS = 240
SAMPLE_RATES = (8_000, 192_000)
"""Hz: the lowest and the highest."""

Member = bytes | bytearray | memoryview
"""What one file of a tar holds."""

ColorMatrix = Literal["bt601", "bt709", "bt2020"]
"""Which luma weights the YUV planes were made with (ITU-R BT.601-7, BT.709-6, BT.2020-2). Range is always limited."""

Fit = Literal["squash", "crop", "pad"]
"""How a picture of another shape becomes the stored one: squashed, its middle cut out, or with black bars added."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Frames <-> audio samples, exactly. NTSC video is 30000/1001 Hz, not 29.97."""

    fps: Fraction
    """Pictures a second."""
    sample_rate: int
    """Audio samples a second (Hz)."""

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.sample_rate <= 0:
            raise InputError(f"fps={self.fps} and sample_rate={self.sample_rate} must both be above 0")

    def sample_at(self, frame: int) -> int:
        """Index of the audio sample heard when `frame` appears (nearest; no drift)."""
        whole, rest = divmod(frame * self.sample_rate * self.fps.denominator, self.fps.numerator)
        return whole + (2 * rest + whole % 2 > self.fps.numerator)  # ties to even; Fractions take 20 times as long

    def samples_in(self, seconds: Fraction) -> int:
        """The nearest whole number of audio samples; ties to even, below 0 as above it."""
        return round(seconds * self.sample_rate)

    def frames_in(self, seconds: Fraction) -> int:
        """Whole frames that fit into `seconds`."""
        return int(seconds * self.fps)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repairs:
    """What had to be mended to put this clip on a constant clock."""

    frames_repeated: int = 0
    """Output frames that repeat an earlier source frame (gaps, low or variable frame rate)."""
    frames_dropped: int = 0
    """Source frames left out (higher frame rate, backward timestamps)."""
    longest_still: int = 0
    """Most output frames in a row that show one source frame; 1 where every frame is another one."""
    silence_samples: int = 0
    """Output samples filled with silence because the source's audio timeline had a gap there."""
    samples_dropped: int = 0
    """Source samples left out because the audio timeline overlapped itself there, counted at the output rate."""
    audio_breaks: int = 0
    """Times the audio timeline jumped, and was laid anew, inside this clip."""
    decode_errors: int = 0
    """Packets the decoder refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedSound:
    """In a clip's json: its sound was late in the source, and is moved earlier by as much; early, the other way."""

    offset_ms: Fraction
    """How late it was, as a curated table says; below 0: early."""
    samples: int
    """The same on the clip's clock: sample 0 of the clip is its source's `sample_at(first_frame) + samples`."""

    @classmethod
    def of(cls, offset_ms: Fraction, clock: Clock) -> "MovedSound | UnsetType":
        """UNSET where that is less than half a sample: nothing is moved."""
        samples = clock.samples_in(offset_ms / 1000)
        return cls(offset_ms=offset_ms, samples=samples) if samples else UNSET

    def problem(self, clock: Clock) -> str:
        """What nobody moves; empty when all can be true."""
        samples = clock.samples_in(self.offset_ms / 1000)
        return "" if self.samples == samples != 0 else f"{self.samples} samples for {self.offset_ms} ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockChecksums:
    """In a raw clip's json: CRC-32 of each block of its pictures and of its sound (blocks.py)."""

    frames: int
    """Pictures in a block; the last has what is left."""
    samples: int
    """Audio samples of each channel in a block."""
    video: str
    """Eight hexadecimal digits for each block, in order."""
    audio: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipMeta:
    """A clip's json member: where it comes from and how it was made."""

    key: str
    """`<source id>/<first frame, 8 digits>`, unique in a dataset; also the tar member's name without suffix."""
    source: str
    """Path of the source as given, relative to the input folder."""
    group: str
    """Sources of one group never stand on two sides of a split."""
    action: str
    """Class of the source: folder name, or the CSV's column."""
    first_frame: int
    """Frame number in the source's own timeline at `clock.fps`; frame 0 is presentation time 0."""
    frames: int
    """T, pictures in this clip."""
    clock: Clock
    width: int
    height: int
    channels: int
    """Audio channels: 1 or 2."""
    matrix: ColorMatrix = "bt601"
    stream_offset_s: float = 0.0
    """First sound heard minus first picture seen of the source, seconds: for reports, never for positions."""
    repairs: Repairs = field(default_factory=Repairs)
    decoder: str = ""
    """Which software decoded and encoded it, with versions."""
    boxes: tuple[tuple[Box, ...], ...] = ()
    """True sound sources, one tuple of boxes per frame; empty when unknown. A frame without any: none is in sight."""
    masks: tuple[tuple[Polygon, ...], ...] | UnsetType = UNSET
    """Their outlines, one tuple per frame; not there where only boxes are known."""
    case: str | UnsetType = UNSET
    """Which kind of truth that is (of generated scenes: sharding/scenes/config.py), where its source says so."""
    crop: ClipCrop | UnsetType = UNSET
    """Which part of the picture it shows; not there when it is all of it."""
    moved_sound: MovedSound | UnsetType = UNSET
    """By how much its sound was moved against its picture; not there where both are as the source has them."""
    checksums: BlockChecksums | UnsetType = UNSET
    """Of its parts, for whoever reads a window; not there in forms that are read as a whole, and in clips of before."""

    @property
    def samples(self) -> int:
        """S, audio samples per channel."""
        return self.clock.sample_at(self.frames)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """One continuous piece of a source, decoded."""

    meta: ClipMeta
    yuv: NDArray[np.uint8]
    """(T, H*3/2, W): I420 as OpenCV and FFmpeg lay it out: H rows of Y, then U and V at half size."""
    audio: NDArray[np.int16]
    """(S, C) PCM."""

    def __post_init__(self) -> None:
        meta = self.meta
        want = (meta.frames, meta.height * 3 // 2, meta.width)
        if self.yuv.shape != want or self.yuv.dtype != np.uint8:
            raise ValueError(f"clip {meta.key!r}: yuv must be uint8 {want}, got {self.yuv.dtype} {self.yuv.shape}")
        if self.audio.shape != (meta.samples, meta.channels) or self.audio.dtype != np.int16:
            raise ValueError(
                f"clip {meta.key!r}: {meta.frames} frames at {meta.clock.fps} fps need int16 audio of "
                f"{(meta.samples, meta.channels)}, got {self.audio.dtype} {self.audio.shape}; "
                "the audio stream is probably shorter than the video: cut the clip earlier"
            )
