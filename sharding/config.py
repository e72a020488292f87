"""Every setting of `avsync pack`, checked before the first file is opened.

The line under a field is its help on the command line. Anyone may import this; it imports no media library.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from sharding.base.environment import available_cores
from sharding.base.text import as_written, exact_number
from sharding.base.written_paths import IS_PATH
from sharding.errors import InputError
from sharding.format.clip import MAX_FPS, MAX_SIDE, SAMPLE_RATES, Clock, Fit

MAX_RAW_BYTES = 4 * 2**30
"""Of one clip stored raw: it is held in memory several times while packing, and USTAR ends at twice this."""

FACES = "faces"
"""Of --crop: look for them."""
DECODER_BYTES = 2 * 2**30
"""Enough for a decoder of 8K pictures; 4K in HEVC takes 0.3 GiB."""
CLIP_COPIES = 4
"""How often a clip is held at once: being filled, kept, encoded, written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackConfig:
    """How videos become clips. Times are exact: write 30000/1001 or 0.25, never a rounded 29.97."""

    fps: str = "30"
    """Pictures a second; a fraction is fine: 30000/1001 is NTSC."""
    size: int = 256
    """Width and height of the stored picture in pixels, even."""
    width: int | None = None
    """Stored width, where the picture is not square; even."""
    height: int | None = None
    """Stored height, where the picture is not square; even."""
    fit: Fit = "squash"
    """How a picture of another shape gets in: squash it, crop its middle, or pad it with black bars."""
    crop: Annotated[str, IS_PATH] = ""
    """Pack a part of the picture instead of all of it: `faces` finds the faces (pip install 'avsync[faces]') and packs
    a steady crop of each mouth; a .csv names the boxes: path,track,time_s,x,y,width,height."""
    min_crop: int = 32
    """Smallest side of a mouth's box in pixels of the source, with --crop faces; what is smaller is left out."""
    sample_rate: int = 44_100
    """Audio samples a second (Hz)."""
    channels: int = 1
    """Audio channels: 1 = mono, 2 = stereo."""
    clip_s: str = "10"
    """Longest clip in seconds; a longer source is cut into the fewest equal pieces."""
    min_clip_s: str = "4"
    """Shortest clip in seconds; a source that cannot give one is rejected as too short."""
    trim_s: str = "0.25"
    """Left out at both ends of a source, in seconds: encoders leave traces there that give labels away."""
    min_confidence: float = 0.0
    """Of a table of avsync curate: pack what is at least so probably in sync, 0 to 1."""
    max_clips_per_source: int | None = None
    """At most this many clips of one source, spread evenly over it."""
    video_stream: int | None = None
    """Index of the stream that holds the picture, as avsync show VIDEO and ffprobe number all streams of a file. A
    column video_stream of a CSV wins. Default: avsync chooses."""
    audio_stream: int | None = None
    """The same of the stream that holds the sound, as where a film has several languages."""
    strict: bool = False
    """Leave out sources whose clock had to be repaired."""
    codec: str = "h264"
    """Stored form: h264 (smallest), h264-fast (loads at 3/5 of the CPU time) or raw (exact, no decoding, 40 times the
    bytes). avsync advise measures them on your videos, disk and cores."""
    val_percent: int = 10
    """Share of the groups that goes to validation, in percent."""
    test_percent: int = 10
    """Share of the groups that goes to the test split, in percent."""
    sources_per_shard: int = 128
    """Sources in one tar."""
    workers: int | None = None
    """Processes that pack at the same time; default, and 0: one for each CPU core this process may use."""
    stop_after: int = 100
    """Stop when so many videos in a row cannot be read: then it is the disk, not the videos. 0 = never."""
    limit_s: int = 300
    """CPU seconds a video may take without giving a clip; one that takes longer is rejected as corrupt."""
    memory_gb: int | None = None
    """Memory (GiB) one process may take; a video that needs more is rejected. Default: 2, and room for clips."""

    def __post_init__(self) -> None:
        self._check_picture()
        self._check_sound()
        self._check_times()
        self._check_counts()
        self._check_codec()

    @property
    def clock(self) -> Clock:
        return Clock(fps=exact(self.fps, "--fps"), sample_rate=self.sample_rate)

    @property
    def picture(self) -> tuple[int, int]:
        """Stored width and height."""
        return self.width or self.size, self.height or self.size

    @property
    def finds_faces(self) -> bool:
        """Packing looks for them."""
        return self.crop == FACES

    @property
    def boxes_table(self) -> Path | None:
        """The table of boxes, where one is named."""
        return Path(self.crop) if self.crop and not self.finds_faces else None

    @property
    def clip_frames(self) -> int:
        """Most frames of one clip."""
        return self.clock.frames_in(exact(self.clip_s, "--clip-s"))

    @property
    def min_clip_frames(self) -> int:
        return self.clock.frames_in(exact(self.min_clip_s, "--min-clip-s"))

    @property
    def trim(self) -> Fraction:
        """Seconds left out at both ends."""
        return exact(self.trim_s, "--trim-s")

    @property
    def processes(self) -> int:
        return self.workers or available_cores()

    def decides_dataset(self) -> dict[str, str | int | bool | None]:
        """The settings that a dataset's clips and splits depend on; equal ones are written equally.

        Those that came later stand there only where they are set: datasets of before keep their plans.
        """
        width, height = self.picture
        times = {name: exact(getattr(self, name), name) for name in ("fps", "clip_s", "min_clip_s", "trim_s")}
        return {
            **{name: as_written(value) for name, value in times.items()},
            "codec": self.codec,
            "width": width,
            "height": height,
            "fit": self.fit,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "max_clips_per_source": self.max_clips_per_source,
            "val_percent": self.val_percent,
            "test_percent": self.test_percent,
            **({"video_stream": self.video_stream} if self.video_stream is not None else {}),
            **({"audio_stream": self.audio_stream} if self.audio_stream is not None else {}),
            **({"strict": True} if self.strict else {}),
            **({"crop": FACES, "min_crop": self.min_crop} if self.finds_faces else {}),
            **({"crop": "boxes"} if self.boxes_table else {}),  # what they are, their sources' plans say
        }

    def decides_bytes(self) -> dict[str, str | int | bool | None]:
        """The settings that a shard's bytes depend on, given its sources."""
        settings = self.decides_dataset()
        del settings["val_percent"], settings["test_percent"]
        return settings

    @property
    def clip_bytes(self) -> int:
        """Of the longest clip, decoded."""
        width, height = self.picture
        frames = self.clip_frames
        return frames * width * height * 3 // 2 + self.clock.sample_at(frames) * self.channels * 2

    @property
    def memory(self) -> int:
        """Bytes that one process may take while it packs a source."""
        return self.memory_gb * 2**30 if self.memory_gb else DECODER_BYTES + CLIP_COPIES * self.clip_bytes

    def _check_picture(self) -> None:
        fps = exact(self.fps, "--fps")
        if not 1 <= fps <= MAX_FPS:
            raise InputError(f"--fps {self.fps} must lie between 1 and {MAX_FPS}")
        for flag, side in (("--size", self.size), ("--width", self.width), ("--height", self.height)):
            if side is not None and (side % 2 or not 16 <= side <= MAX_SIDE):
                raise InputError(
                    f"{flag} {side} must be an even number from 16 to {MAX_SIDE}: colour is stored at half size; "
                    f"try {flag} {min(MAX_SIDE, max(16, side + side % 2))}"
                )
        if self.fit not in ("squash", "crop", "pad"):
            raise InputError(f"--fit {self.fit} is not known; choose squash, crop or pad")
        if self.min_crop < 2:
            raise InputError(f"--min-crop {self.min_crop} must be at least 2 pixels")

    def _check_sound(self) -> None:
        low, high = SAMPLE_RATES
        if not low <= self.sample_rate <= high:
            raise InputError(f"--sample-rate {self.sample_rate} must lie between {low} and {high} Hz")
        if self.channels not in (1, 2):
            raise InputError(f"--channels {self.channels} must be 1 (mono) or 2 (stereo)")

    def _check_times(self) -> None:
        if exact(self.trim_s, "--trim-s") < 0:
            raise InputError(f"--trim-s {self.trim_s} must not be below 0")
        if self.clip_frames < 2:
            raise InputError(f"--clip-s {self.clip_s} is less than two frames at {self.fps} fps; raise it")
        if self.min_clip_frames < 2:
            raise InputError(f"--min-clip-s {self.min_clip_s} is less than two frames at {self.fps} fps; raise it")
        if self.min_clip_frames > self.clip_frames:
            raise InputError(
                f"--min-clip-s {self.min_clip_s} is longer than --clip-s {self.clip_s}: "
                f"no clip could be both; use --min-clip-s {self.clip_s} or less"
            )

    def _check_counts(self) -> None:
        for flag, percent in (("--val-percent", self.val_percent), ("--test-percent", self.test_percent)):
            if not 0 <= percent <= 100:
                raise InputError(f"{flag} {percent} must lie between 0 and 100")
        if self.val_percent + self.test_percent > 100:
            raise InputError(
                f"--val-percent {self.val_percent} and --test-percent {self.test_percent} are more than 100 together"
            )
        if not 0 <= self.min_confidence <= 1:
            raise InputError(f"--min-confidence {self.min_confidence:g} must lie between 0 and 1: it is a probability")
        counts = (
            ("--max-clips-per-source", self.max_clips_per_source),
            ("--sources-per-shard", self.sources_per_shard),
        )
        for flag, count in counts:
            if count is not None and count < 1:
                raise InputError(f"{flag} {count} must be at least 1")
        for flag, index in (("--video-stream", self.video_stream), ("--audio-stream", self.audio_stream)):
            if index is not None and index < 0:
                raise InputError(f"{flag} {index} must not be below 0; ffprobe numbers the streams of a file from 0 on")
        if self.stop_after < 0:
            raise InputError(f"--stop-after {self.stop_after} must not be below 0; 0 is never")
        if self.limit_s < 1:
            raise InputError(f"--limit-s {self.limit_s} must be at least 1 second")
        if self.memory_gb is not None and self.memory_gb < 1:
            raise InputError(f"--memory-gb {self.memory_gb} must be at least 1 GiB")
        if self.workers is not None and self.workers < 0:
            raise InputError(f"--workers {self.workers} must not be below 0; 0 is one for each CPU core")

    def _check_codec(self) -> None:
        from sharding.format.codec import codec_named  # late: it loads the media library

        codec_named(self.codec)
        width, height = self.picture
        if self.codec == "raw" and self.clip_bytes > MAX_RAW_BYTES:
            raise InputError(
                f"--codec raw makes clips of {self.clip_bytes / 2**30:.1f} GiB from {self.clip_frames} pictures of "
                f"{width}x{height} "
                f"(--clip-s, --fps, --size); {MAX_RAW_BYTES // 2**30} GiB is the limit: lower one of them, "
                "or use --codec h264"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PackOptions:
    """What a person may want of a call beyond its settings."""

    root: Path | None = None
    """Folder that the videos of a CSV lie in; its own folder by default."""
    remove: bool = False
    """Take out of the dataset what VIDEOS does not list any more."""
    retry: bool = False
    """Try again what an earlier call rejected as corrupt, as after a fault of the disk or with other limits."""
    card: bool = False
    """Also write DATASET/README.md, a dataset card by which load_dataset of Hugging Face reads the shards."""


def exact(text: str, flag: str) -> Fraction:
    """A number as typed, without rounding. `flag` says in the error where it was typed."""
    try:
        return exact_number(str(text).strip())
    except ValueError:
        raise InputError(f"{flag} {text} is not a number; write it like 30, 0.25 or 30000/1001") from None
