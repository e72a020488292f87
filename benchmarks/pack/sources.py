"""What the packing benchmark packs: real videos of a folder, and two generated ones of 720 and 1080 lines.

The generated ones are walls of smaller pictures, real where there are real ones, so that they have as much to code in
each pixel as footage has. An enlarged video would be too easy to decode.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from sharding.errors import RejectError
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, read_spans
from sharding.media.probe import Probe, probe
from sharding.sources.find import SUFFIXES

CLOCK = Clock(fps=Fraction(30), sample_rate=44_100)
TILE = OutputSpec(clock=CLOCK, width=640, height=360, channels=2)
SECONDS = 21
SHORTEST_S, LONGEST_S = 6, 16
"""Of the real ones: longer ones would weigh more than the others."""
STAGED = ("testpattern", "animation", "synthetic_face", "smpte")
"""Parts of names of what is no footage; left out of the sample."""


def real_sources(folder: Path, count: int) -> list[Probe]:
    """`count` videos of the folder, from the fewest pixels a second to the most."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    paths = [path for path in paths if not any(word in str(path) for word in STAGED)]
    found: list[tuple[float, str, Probe]] = []
    for path in paths:
        try:
            one = probe(path)
        except RejectError:
            continue
        start, end = one.stretches[0] if one.stretches else (0, 0)
        if SHORTEST_S <= end - start <= LONGEST_S:
            found.append((_pixels_a_second(one), str(path), one))
    found.sort(key=lambda entry: entry[:2])
    return [found[(2 * number + 1) * len(found) // (2 * count)][2] for number in range(min(count, len(found)))]


def _pixels_a_second(source: Probe) -> float:
    with av.open(str(source.path)) as container:
        stream = container.streams[source.video.index]
        assert isinstance(stream, av.VideoStream)
        return stream.width * stream.height * float(stream.average_rate or 0)


def wall(path: Path, tiles: list[Probe], across: int) -> Path:
    """Write `across` x `across` tiles of 640x360 to `path`: H.264 at crf 23 and AAC, as web video is."""
    if path.exists():
        return path
    rows = [_real(tiles[number % len(tiles)]) if tiles else _drifting(number) for number in range(across**2)]
    half = path.with_stem(f"{path.stem}-half")  # whole when it has its name
    with av.open(str(half), "w") as container:
        picture = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "23", "g": "250"})
        picture.width, picture.height, picture.pix_fmt = TILE.width * across, TILE.height * across, "yuv420p"
        sound = container.add_stream("aac", rate=CLOCK.sample_rate, layout="stereo")
        for second, parts in zip(range(SECONDS), zip(*rows, strict=False), strict=False):
            for number, planes in enumerate(_joined([yuv for yuv, _ in parts], across)):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = second * 30 + number, Fraction(1, 30)
                container.mux(picture.encode(frame))
            block = av.AudioFrame.from_ndarray(parts[0][1].reshape(1, -1), format="s16", layout="stereo")
            block.sample_rate, block.pts = CLOCK.sample_rate, second * CLOCK.sample_rate
            container.mux(sound.encode(block))
        container.mux(picture.encode(None))
        container.mux(sound.encode(None))
    return half.rename(path)


def _real(source: Probe) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int16]]]:
    """Second by second: pictures (30, 540, 640) and sound (44100, 2); a shorter video begins again."""
    start, end = source.stretches[0]
    whole = range(int(start) + 1, int(end))
    for _ in range(0, SECONDS, len(whole)):
        for span in read_spans(source, [range(30 * second, 30 * second + 30) for second in whole], TILE):
            yield span.yuv, span.audio


def _drifting(seed: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int16]]]:
    """A texture with the spectrum of photographs (1/f) that drifts, under a little sensor noise."""
    rng = np.random.default_rng(seed)
    size = 1024
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]) + 1 / size
    waves = np.fft.rfft2(rng.normal(size=(size, size))) / frequency
    texture = np.fft.irfft2(waves, (size, size))
    texture = 120 + 40 * texture / texture.std()
    down, right = rng.integers(-3, 4, 2)
    rows = TILE.height * 3 // 2
    for second in range(SECONDS):
        yuv = np.empty((30, rows, TILE.width), np.uint8)
        for number in range(30):
            moved = np.roll(texture, (second * 30 + number) * np.array((down, right)), axis=(0, 1))
            noisy = moved[:rows, : TILE.width] + rng.normal(0, 2, (rows, TILE.width))
            yuv[number] = noisy.clip(16, 235)
        yield yuv, rng.normal(0, 2000, (CLOCK.sample_rate, 2)).astype(np.int16)


def _joined(tiles: list[NDArray[np.uint8]], across: int) -> NDArray[np.uint8]:
    """Tiles (T, 540, 640) of I420 as one picture, (T, 540 * across, 640 * across)."""
    frames, height, width = len(tiles[0]), TILE.height, TILE.width
    luma = [tile[:, :height] for tile in tiles]
    chroma = [tile[:, height:].reshape(frames, 2, height // 2, width // 2) for tile in tiles]
    bands = range(0, across**2, across)
    high = np.concatenate([np.concatenate(luma[row : row + across], axis=2) for row in bands], axis=1)
    low = np.concatenate([np.concatenate(chroma[row : row + across], axis=3) for row in bands], axis=2)
    return np.concatenate((high, low.reshape(frames, -1, high.shape[2])), axis=1)
