"""What all clips of a dataset share, and so what none of them can be: by length in bytes, and by what its json says.

dataset.json, index and json say the same of an honest clip. What disagrees costs that clip: its numbers are never used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from sharding.base.files import from_json
from sharding.base.text import plain
from sharding.errors import FormatError, WrongClip
from sharding.format.blocks import problem_of_checksums
from sharding.format.claims import ClipShape, decoding
from sharding.format.clip import ClipMeta, Clock, ColorMatrix
from sharding.format.crop import LONGEST_CASE, has_corners

if TYPE_CHECKING:
    from sharding.format.codec import Codec

LARGEST_JSON = 2**26
"""Bytes of the longest clip's json. True positions of sounds, frame by frame, take a few hundred thousand."""
JSON_BYTES = (2**20, 2**15)
"""A clip's json is smaller than the first, and the second for each picture: some 250 boxes."""
LONGEST_VALUE, LONGEST_ERROR = 80, 240
"""Characters of a foreign value in a message, and of a message about one."""
Difference = tuple[str, object, object]
"""What of a clip, what it should be, what its json says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipForm:
    """The part of dataset.json that each clip has to keep to."""

    codec: str
    clock: Clock
    width: int
    height: int
    channels: int

    @property
    def coding(self) -> "Codec":
        from sharding.format.codec import codec_named  # late: it loads the media library

        return codec_named(self.codec)

    def shape(self, frames: int, matrix: ColorMatrix | None = None) -> ClipShape:
        """Of a clip of so many pictures."""
        return ClipShape(
            frames=frames,
            width=self.width,
            height=self.height,
            channels=self.channels,
            clock=self.clock,
            matrix=matrix,
        )

    def check_lengths(self, frames: int, json_bytes: int, video_bytes: int, audio_bytes: int) -> None:
        """Before memory is taken for what an index says. Raises WrongClip for more than any such clip has, or less."""
        if video_bytes < frames:
            raise WrongClip(f"the index says {frames} frames in {video_bytes} bytes, fewer than one for each")
        video, audio = self.coding.most_bytes(self.shape(frames))
        found = {"json": json_bytes, "pictures": video_bytes, "sound": audio_bytes}
        most = {"json": largest_json(frames), "pictures": video, "sound": audio}
        for name, length in found.items():
            if length > most[name]:
                raise WrongClip(
                    f"the index says {length} bytes of {name}, and {frames} frames of this dataset take at most "
                    f"{most[name]}"
                )

    def read_json(self, json: bytes | memoryview, *, key: str, action: str, frames: int) -> ClipMeta:
        """A clip's json, which must say what the index does: `key`, `action`, `frames`. Raises WrongClip."""
        with decoding("json", LARGEST_JSON):
            try:
                meta = from_json(json, ClipMeta, "its json")
            except FormatError as error:
                raise WrongClip(short_text(str(error), LONGEST_ERROR)) from error
        for name, wanted, found in self.differences(meta, key=key, action=action, frames=frames):
            raise WrongClip(
                f"its json says {name} {short_text(str(found))} where the dataset says {short_text(str(wanted))}"
            )
        return meta

    def differences(self, meta: ClipMeta, *, key: str, action: str, frames: int) -> Iterator[Difference]:
        """All in which a clip's json is not what dataset.json and its record say."""
        for name, wanted in (("key", key), ("action", action), ("frames", frames)):
            if (found := getattr(meta, name)) != wanted:
                yield name, wanted, found
        for name in ("clock", "width", "height", "channels"):
            if (found := getattr(meta, name)) != (wanted := getattr(self, name)):
                yield name, wanted, found
        if (first := key.rpartition("/")[2]) != f"{meta.first_frame:08d}":
            yield "first frame", first, meta.first_frame
        if meta.boxes and len(meta.boxes) != frames:
            yield "boxes", f"of {frames} frames", f"of {len(meta.boxes)}"
        if meta.crop and len(meta.crop.corners) != frames:
            yield "crop", f"of {frames} frames", f"of {len(meta.crop.corners)}"
        if meta.crop and (problem := meta.crop.problem):
            yield "crop", "inside of its picture", problem
        if meta.moved_sound and (problem := meta.moved_sound.problem(self.clock)):
            yield "moved sound", "by as many samples as its offset is", problem
        if meta.checksums and (problem := problem_of_checksums(meta.checksums, self.shape(frames))):
            yield "checksums", "one for each block", problem
        if meta.masks and len(meta.masks) != frames:
            yield "masks", f"of {frames} frames", f"of {len(meta.masks)}"
        for name, shapes in (("boxes", meta.boxes), ("masks", meta.masks or ())):
            numbers = list(chain.from_iterable(chain.from_iterable(shapes)))
            if numbers and not 0 <= min(numbers) <= max(numbers) <= 1:
                yield name, "between 0 and 1", f"{min(numbers)} to {max(numbers)}"
        wrong = next((one for one in chain(*(meta.masks or ())) if not has_corners(one)), None)
        if wrong is not None:
            yield "masks", "of polygons", f"one of {len(wrong)} numbers"
        if meta.case and not (len(meta.case) <= LONGEST_CASE and meta.case.isprintable()):
            yield "case", f"printable, of {LONGEST_CASE} letters at most", f"of {len(meta.case)}"


def largest_json(frames: int) -> int:
    """Bytes that the json of a clip of so many pictures may have."""
    return min(LARGEST_JSON, JSON_BYTES[0] + JSON_BYTES[1] * frames)


def short_text(text: str, most: int = LONGEST_VALUE) -> str:
    """A foreign text in a message, on one line and not longer than that."""
    text = plain(text[: most + 1])
    return text if len(text) <= most else f"{text[:most]}..."
