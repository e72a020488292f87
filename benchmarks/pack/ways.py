"""Ways to make training clips of a video, each in one process: ours, the floor under them, and what others do.

Every way gets a Job and leaves its clips in a folder.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.base.runner import Cost, cost_of
from sharding.config import PackConfig
from sharding.format.clip import Clip
from sharding.format.codec import codec_named
from sharding.format.h264 import GOP_FRAMES, H264
from sharding.media.probe import Probe
from sharding.pack.assemble import assemble
from sharding.pack.cut import survey
from sharding.pack.part import PartName, clips_of, pack_part
from sharding.plan.plan import ShardPlan
from sharding.sources.source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One source to be made into clips."""

    source: Source
    found: Probe
    pieces: tuple[range, ...]
    """Frames at 30 a second."""
    clips: tuple[Clip, ...]
    """Decoded already, for those who only encode."""
    folder: Path
    config: PackConfig

    @property
    def units(self) -> float:
        """Clips of 4 s."""
        return sum(map(len, self.pieces)) / 120


Way = Callable[[Job], None]


def job_of(found: Probe, folder: Path, config: PackConfig) -> Job:
    """A source, as a folder walk would list it, cut and decoded."""
    source = Source(id="source", path=found.path, rel=found.path.name, action="any", group="any")
    pieces = tuple(piece for part in survey(source, config).parts for piece in part)
    clips = tuple(clip for clip, _ in clips_of(source, found, pieces, config))
    return Job(
        source=source,
        found=found,
        pieces=tuple(piece.frames for piece in pieces),
        clips=clips,
        folder=folder,
        config=config,
    )


def measured(way: Way, job: Job) -> Cost:
    """What a way costs; its output is deleted outside the count."""
    job.folder.mkdir()
    try:
        return cost_of(partial(way, job))
    finally:
        shutil.rmtree(job.folder)


def decode_only(job: Job) -> None:
    """The floor: every picture and all sound, decoded and forgotten."""
    with av.open(str(job.found.path)) as container:
        streams = [container.streams[facts.index] for facts in (job.found.video, job.found.audio)]
        for stream in streams:
            stream.codec_context.thread_count = 1
        for packet in container.demux(*streams):
            packet.decode()


def encode_only(job: Job) -> None:
    """The other floor: clips in memory to H.264 and FLAC, with our settings."""
    codec = H264()
    for clip in job.clips:
        codec.encode_video(clip)
        codec.encode_audio(clip)


def ours(codec: str) -> Way:
    """Our packing: look at the source, pack its parts, put the shard together."""
    codec_named(codec)

    def way(job: Job) -> None:
        source, config = job.source, replace(job.config, codec=codec)
        (job.folder / "train").mkdir()
        found = survey(source, config)
        parts = [
            pack_part(source, found.part(part), PartName(source=0, part=part).path(job.folder), config, lambda *_: None)
            for part in range(len(found.parts))
        ]
        plan = ShardPlan(split="train", number=0, digest="", sources=(source,))
        assemble(plan, [parts], job.folder, job.folder)

    return way


def naive(job: Job) -> None:
    """The thesis's way: all pictures as RGB, resized one by one, a float tensor to torch.save."""
    import torch

    cv2: Any = import_module("cv2")  # a peer that may be missing
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with av.open(str(job.found.path)) as container:
        streams = [container.streams[facts.index] for facts in (job.found.video, job.found.audio)]
        streams[0].codec_context.thread_count = 1
        pictures, sounds = [], []
        for packet in container.demux(*streams):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    pictures.append(cv2.resize(frame.to_ndarray(format="rgb24"), (256, 256)))
                elif isinstance(frame, av.AudioFrame):
                    sounds.append(frame.to_ndarray())
        rate = float(streams[0].average_rate or 30)
    for number, piece in enumerate(job.pieces):
        chosen = [pictures[min(len(pictures) - 1, int(frame / 30 * rate))] for frame in piece]
        frames = torch.from_numpy(np.stack(chosen)).float() / 255
        sound = torch.from_numpy(np.concatenate(sounds, axis=1)).float()
        torch.save({"frames": frames, "audio": sound}, job.folder / f"{number}.pth")


def _ffmpeg(job: Job, span: range, after: list[str]) -> None:
    before = ["-ss", f"{span.start / 30:.6f}", "-t", f"{len(span) / 30:.6f}"]
    codec, rate = H264(), 30
    tree = f"open-gop=0:scenecut=0:mbtree=1:{codec.tuning}"
    with av.open(str(job.found.path)) as container:
        stream = container.streams[job.found.video.index]
        assert isinstance(stream, av.VideoStream)
        fast = (stream.average_rate or 0) > rate
    steps = ["scale=256:256:flags=area", "format=yuv420p"]
    filters = ",".join([f"fps={rate}", *steps] if fast else [*steps, f"fps={rate}"])  # whichever scales fewer pictures
    picture, sound = (f"0:{facts.index}" for facts in (job.found.video, job.found.audio))
    command = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-filter_threads", "1", *before]
    command += ["-i", str(job.found.path), "-map", picture, "-map", sound, "-vf", filters]
    command += ["-c:v", "libx264", "-preset", codec.preset, "-crf", str(codec.crf), "-g", str(GOP_FRAMES)]
    command += ["-x264-params", tree, "-threads", "1", "-c:a", "flac", "-ac", "1", "-ar", "44100", *after]
    subprocess.run(command, check=True, cwd=job.folder)


def segments(job: Job) -> None:
    """One ffmpeg process for the whole source, which cuts while it writes."""
    length = len(job.pieces[0]) / 30
    cut = ["-f", "segment", "-segment_time", f"{length:.6f}", "-segment_format", "matroska", "%d.mkv"]
    _ffmpeg(job, range(job.pieces[0].start, job.pieces[-1].stop), cut)


def one_by_one(job: Job) -> None:
    """One ffmpeg process for each clip: what video2dataset does."""
    for number, piece in enumerate(job.pieces):
        _ffmpeg(job, piece, [f"{number}.mkv"])


def missing(way: Way) -> str:
    """What would have to be installed for a way; empty when it can run."""
    if way in (segments, one_by_one) and shutil.which("ffmpeg") is None:
        return "the ffmpeg program"
    if way is naive:
        return ", ".join(name for name in ("torch", "cv2") if find_spec(name) is None)
    return ""


def ffmpeg_version() -> str:
    """`ffmpeg version 5.1.9`, shortened; it is another build than the one inside PyAV."""
    if shutil.which("ffmpeg") is None:
        return "no ffmpeg program"
    text = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout
    return " ".join(text.split()[:3]) + f", {os.cpu_count()} cores"


WAYS: dict[str, Way] = {
    "decode only": decode_only,
    "encode only": encode_only,
    "avsync raw": ours("raw"),
    "avsync h264": ours("h264"),
    "avsync h264-fast": ours("h264-fast"),
    "ffmpeg, segments": segments,
    "ffmpeg, each clip": one_by_one,
    "naive float tensors": naive,
}
