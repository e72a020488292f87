"""A bad disk, a limit of memory, a file that breaks off and a damaged one: each is told from the others."""

import ctypes
import errno
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction as F
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.error import InvalidDataError
from av.error import OSError as FFmpegOSError

from sharding.base.workers import OUT_OF_MEMORY
from sharding.config import PackConfig
from sharding.containers import container as media
from sharding.errors import RejectError
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, Span, read_spans
from sharding.media.probe import Probe, probe
from sharding.pack.cut import cut
from tests.media import Video, write_video

FORM = OutputSpec(clock=Clock(fps=F(10), sample_rate=16_000), width=32, height=32, channels=1)
SMALL = Video(seconds=F(42), fps=F(10), width=64, height=48, sample_rate=16_000, events=())
PIECES = [range(start, start + 60) for start in range(0, 420, 60)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


def written(path: Path, **other: Any) -> Path:
    return path if path.exists() else write_video(path, replace(SMALL, **other))


def damage(source: Probe) -> list[str]:
    return [span.damage for span in read_spans(source, PIECES, FORM)]


def take_disk(path: Path) -> None:
    """From now on the open files of `path` answer every read with an error, as when a disk goes away."""
    for link in Path("/proc/self/fd").iterdir():
        if os.path.realpath(link) == str(path):
            bad = os.open("/proc/self/mem", os.O_RDONLY)  # nothing lies at its first bytes: a read is EIO
            os.dup2(bad, int(link.name))
            os.close(bad)


def gone(path: Path, *_: object, **__: object) -> Any:
    raise OSError(errno.EIO, "Input/output error", str(path))


class Watched:
    """A container whose packets come through `passing`."""

    def __init__(self, container: Any, passing: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
        self._container, self._passing = container, passing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, *streams: Any) -> Iterator[Any]:
        return self._passing(self._container.demux(*streams))


def watch(monkeypatch: pytest.MonkeyPatch, passing: Callable[[Iterator[Any]], Iterator[Any]]) -> None:
    real = media.av.open
    monkeypatch.setattr(media.av, "open", lambda *args, **named: Watched(real(*args, **named), passing))


def once(happens: Callable[[], None]) -> Callable[[Iterator[Any]], Iterator[Any]]:
    """At the 20th packet that is read of any file."""
    seen = list[Any]()

    def passing(packets: Iterator[Any]) -> Iterator[Any]:
        for packet in packets:
            seen.append(packet)
            if len(seen) == 20:
                happens()
            yield packet

    return passing


linux = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no /proc/self/mem here")
READERS = {"probe": lambda path, source: probe(path), "decode": lambda path, source: damage(source)}


@linux
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "flv"])
def test_a_disk_that_goes_away_for_a_moment_is_no_damage(suffix: str, reader: str, folder: Path, monkeypatch):
    kind = {"flv": {"video_codec": "flv", "audio_codec": "libmp3lame", "sample_rate": 22_050}}.get(suffix, {})
    path = written(folder / f"a.{suffix}", **kind)
    source = probe(path)
    watch(monkeypatch, once(lambda: take_disk(path)))
    with pytest.raises(RejectError, match="the disk failed for a moment: Input/output error") as caught:
        READERS[reader](path, source)
    assert caught.value.reason == "unreadable"


@linux
@pytest.mark.parametrize("reader", READERS)
def test_a_disk_that_stays_away_is_no_damage(reader: str, folder: Path, monkeypatch):
    path = written(folder / "a.mp4")
    source = probe(path)

    def leave() -> None:
        take_disk(path)
        monkeypatch.setattr(Path, "open", gone)

    watch(monkeypatch, once(leave))
    with pytest.raises(RejectError, match="unreadable: cannot be read: Input/output error"):
        READERS[reader](path, source)


@pytest.mark.parametrize(
    "error", [InvalidDataError(1, "Invalid data"), FFmpegOSError(errno.EIO, "Input/output error")], ids=str
)
def test_an_error_that_comes_each_time_though_the_file_can_be_read_is_damage(error, folder: Path, monkeypatch):
    path = written(folder / "a.mp4")
    whole = probe(path)

    def passing(packets: Iterator[Any]) -> Iterator[Any]:
        yield from islice(packets, 400)
        raise error

    watch(monkeypatch, passing)
    ended = probe(path)
    assert 0 < ended.video.packets < whole.video.packets
    assert ended.video.packets + ended.audio.packets == 400


@pytest.mark.parametrize(("times", "reason"), [(1, "unreadable"), (9, "corrupt")])
def test_a_file_that_does_not_open_is_laid_at_the_disk_only_when_it_opens_again(
    times: int, reason: str, folder: Path, monkeypatch
):
    path = written(folder / "a.mp4")
    real, left = media.av.open, list(range(times))

    def opened(*args: Any, **named: Any) -> Any:
        if left:
            left.pop()
            raise FFmpegOSError(errno.EPERM, "Operation not permitted", str(path))
        return real(*args, **named)

    monkeypatch.setattr(media.av, "open", opened)
    with pytest.raises(RejectError, match="Operation not permitted") as caught:
        probe(path)
    assert caught.value.reason == reason


def test_no_cut_in_the_head_of_an_asf_file_passes_for_a_fault_of_the_disk(tmp_path: Path):
    path = write_video(tmp_path / "a.asf", Video(seconds=F(1), video_codec="mpeg4", audio_codec="libmp3lame"))
    whole, cut_one, rejects = path.read_bytes(), tmp_path / "cut.asf", list[RejectError]()
    for start in range(30, 900, 7):
        cut_one.write_bytes(whole[:start] + whole[start + 10 :])
        try:
            probe(cut_one)
        except RejectError as reject:
            rejects.append(reject)
    assert not [reject for reject in rejects if reject.reason == "unreadable"]
    refused = [reject for reject in rejects if "not permitted" in reject.detail]
    assert refused, "FFmpeg does not call damage so any more: _never_opens may go"


def test_a_missing_stream_is_laid_at_the_disk_when_its_head_cannot_be_read(tmp_path: Path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", Video(audio_codec=""))
    with pytest.raises(RejectError, match="no_audio"):
        probe(path)
    monkeypatch.setattr(Path, "open", gone)
    with pytest.raises(RejectError, match="unreadable: cannot be read: Input/output error"):
        probe(path)


PROGRAM = """
import sys
from fractions import Fraction
from pathlib import Path
from av import logging
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, read_spans
from sharding.errors import RejectError
from sharding.base.workers import limit_memory
from sharding.media.probe import probe
logging.set_level(None)
limit_memory(int(sys.argv[2]) * 2**20)
form = OutputSpec(clock=Clock(fps=Fraction(5), sample_rate=16_000), width=32, height=32, channels=1)
try:
    spans = list(read_spans(probe(Path(sys.argv[1])), [range(5), range(5, 10)], form))
except MemoryError:
    raise SystemExit(77)
print([(span.damage, span.repairs.decode_errors, span.yuv.sum()) for span in spans])
"""
"""Reads a video in so many MiB."""
CODECS_4K = {
    "libx264": {"preset": "ultrafast", "bf": "3", "refs": "5"},
    "mpeg4": {},
    "mjpeg": {"qscale": "20"},
}


def write_4k(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        pictures: Any = container.add_stream(codec, rate=5, options=CODECS_4K[codec])
        pictures.width, pictures.height = 3840, 2160
        pictures.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        sound: Any = container.add_stream("flac", rate=16_000, layout="mono")
        for number in range(11):
            luma = np.zeros((2160 * 3 // 2, 3840), np.uint8)
            luma[:2160, number * 100 :] = 200
            picture = av.VideoFrame.from_ndarray(luma, format="yuv420p").reformat(format=pictures.pix_fmt)
            picture.pts, picture.time_base = number, F(1, 5)
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        for number in range(11):
            noise = np.random.default_rng(number).integers(-9000, 9000, (1, 3200)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, number * 3200
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have no such limit")
@pytest.mark.parametrize("codec", CODECS_4K)
def test_a_video_that_finds_too_little_memory_is_not_taken_for_damaged(codec: str, tmp_path: Path):
    path = write_4k(tmp_path / "a.mkv", codec)

    def run(budget: int) -> tuple[int, str]:
        command = [sys.executable, "-c", PROGRAM, str(path), str(budget)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    code, fine = run(400)
    assert code == 0, fine
    assert fine.startswith("[('', 0, ")
    outcomes = [run(budget) for budget in (10, 25, 40, 55, 70, 90, 110, 130)]
    assert all(code == OUT_OF_MEMORY or code < 0 or said == fine for code, said in outcomes), outcomes
    assert outcomes[0][0] == OUT_OF_MEMORY


def remuxed(source: Path, target: Path, **options: str) -> Path:
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return target


FLV = {"video_codec": "flv", "audio_codec": "libmp3lame", "sample_rate": 22_050}
AVI = {"video_codec": "mpeg4", "audio_codec": "libmp3lame"}
WHOLE: dict[str, Callable[[Path], Path]] = {
    "mp4, index in front": lambda to: remuxed(written(to / "a.mp4"), to / "front.mp4", movflags="+faststart"),
    "mp4 in pieces, index in front": lambda to: remuxed(
        written(to / "a.mp4"), to / "dash.mp4", movflags="+frag_keyframe+default_base_moof+global_sidx"
    ),
    "mkv": lambda to: written(to / "a.mkv"),
    "mkv, index in front": lambda to: remuxed(written(to / "a.mp4"), to / "cues.mkv", cues_to_front="1"),
    "avi": lambda to: written(to / "mpeg4.avi", **AVI),
    "flv": lambda to: written(to / "a.flv", **FLV),
}


@pytest.fixture(params=WHOLE)
def whole(request: pytest.FixtureRequest, folder: Path) -> Path:
    return WHOLE[request.param](folder)


@pytest.mark.parametrize("share", [0.1, 0.6, 0.8])
def test_what_is_missing_of_a_file_that_breaks_off_is_planned_and_told(share: float, whole: Path, tmp_path: Path):
    data = whole.read_bytes()
    broken = tmp_path / f"broken{whole.suffix}"
    broken.write_bytes(data[: int(len(data) * share)])
    source, config = probe(broken), PackConfig(fps="10", clip_s="4", min_clip_s="2", trim_s="0")
    assert source.missing is not None
    begin, end = source.missing
    assert end == pytest.approx(42, abs=0.5)
    assert begin == pytest.approx(42 * share, abs=6)  # AVI has its index at the end
    pieces = cut(source.shown, config)
    assert sum(map(len, pieces)) / 10 == pytest.approx(42, abs=4)
    told = [span.damage for span in read_spans(source, pieces, FORM)]
    assert [bool(one) for one in told] == [piece.stop / F(10) > begin for piece in pieces]
    assert set(told) <= {"", f"the file ends at {float(begin):.1f} s of {float(end):.1f} s"}


def test_the_clips_before_the_break_are_those_of_the_whole_file(whole: Path, tmp_path: Path):
    data = whole.read_bytes()
    broken = tmp_path / f"broken{whole.suffix}"
    broken.write_bytes(data[: len(data) * 6 // 10])
    pairs = zip(read_spans(probe(broken), PIECES, FORM), read_spans(probe(whole), PIECES, FORM), strict=True)
    good = [(one, other) for one, other in pairs if not one.damage]
    assert len(good) in (3, 4)
    assert all(same(one, other) for one, other in good)


def same(one: Span, other: Span) -> bool:
    return np.array_equal(one.yuv, other.yuv) and np.array_equal(one.audio, other.audio)


def test_a_download_whose_rest_is_empty_breaks_off_too(folder: Path, tmp_path: Path):
    data = written(folder / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    missing = probe(tmp_path / "a.mkv").missing
    assert missing is not None
    assert [float(moment) for moment in missing] == pytest.approx([20.5, 42], abs=2)


def test_nothing_is_decoded_of_what_is_missing(folder: Path, tmp_path: Path, monkeypatch):
    data = written(folder / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    source = probe(tmp_path / "a.mkv")
    monkeypatch.setattr("sharding.media.decode.VideoTimeline", None)
    assert all(span.damage for span in read_spans(source, PIECES[4:], FORM))


def test_a_file_that_breaks_off_can_be_watched_to_its_last_picture(folder: Path, tmp_path: Path):
    data = written(folder / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    source = probe(tmp_path / "a.mkv")
    assert source.missing is not None
    stop = ceil(source.video.end * 10)
    assert stop > source.missing[0] * 10
    assert [span.damage for span in read_spans(source, [range(stop - 20, stop)], FORM)] == [""]


def test_a_whole_file_is_whole_whatever_length_it_declares(whole: Path):
    assert probe(whole).missing is None


@pytest.mark.parametrize("seconds", [60, 10**6])
def test_a_declared_length_alone_is_not_believed(seconds: int, folder: Path, tmp_path: Path):
    data = bytearray(written(folder / "a.mkv").read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # Duration, milliseconds
    data[place : place + 8] = np.array(seconds * 1000, ">f8").tobytes()
    (tmp_path / "a.mkv").write_bytes(data)
    assert probe(tmp_path / "a.mkv").missing is None


def test_an_absurd_length_is_not_planned_even_for_a_file_that_breaks_off(folder: Path, tmp_path: Path):
    data = bytearray(written(folder / "a.mkv").read_bytes())
    place = data.index(b"\x44\x89\x88") + 3
    data[place : place + 8] = np.array(1e12, ">f8").tobytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    source = probe(tmp_path / "a.mkv")
    assert source.missing is None
    assert source.shown[-1][1] < 30


def test_sound_that_ends_before_the_picture_is_no_break(tmp_path: Path):
    long = write_video(tmp_path / "a.mp4", Video(seconds=F(30), events=(), audio_codec="flac"))
    with av.open(str(long)) as old, av.open(str(tmp_path / "b.mkv"), "w") as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            packet: Any
            late = packet.pts is not None and packet.pts * packet.time_base >= 12
            if packet.size and (packet.stream.type == "video" or not late):
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    data = (tmp_path / "b.mkv").read_bytes()
    (tmp_path / "c.mkv").write_bytes(data[: len(data) * 9 // 10])
    for name in "bc":
        source = probe(tmp_path / f"{name}.mkv")
        assert source.missing is None
        assert source.stretches[-1][1] == pytest.approx(12, abs=0.3)


def test_a_file_that_breaks_off_in_its_last_clip_still_gives_a_shorter_one(tmp_path: Path):
    data = write_video(tmp_path / "a.mkv", replace(SMALL, seconds=F(9))).read_bytes()
    (tmp_path / "b.mkv").write_bytes(data[: len(data) * 3 // 4])
    source, config = probe(tmp_path / "b.mkv"), PackConfig(fps="10")
    assert source.missing is not None
    [piece] = cut(source.shown, config)
    assert [span.damage for span in read_spans(source, [piece], FORM)] == [""]


FITTED = """
import ctypes, hashlib, sys
from fractions import Fraction
library = ctypes.CDLL(sys.argv[1])
flags = ctypes.c_uint(0)
if sys.argv[2]:
    assert library.av_parse_cpu_caps(ctypes.byref(flags), sys.argv[2].encode()) >= 0
    library.av_force_cpu_flags(ctypes.c_int(flags.value))
import av
import numpy as np
from sharding.media.picture import PictureFitter
for kind in ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "nv12", "gray", "rgb24"):
    for width, height in ((640, 360), (1280, 720), (321, 241), (100, 80)):
        for fit in ("squash", "crop", "pad"):
            rng = np.random.default_rng(width)
            frame = av.VideoFrame(width, height, kind)
            for plane in frame.planes:
                most, form = (1024, np.uint16) if "10" in kind else (256, np.uint8)
                noise = rng.integers(0, most, plane.buffer_size // form().itemsize)
                plane.update(np.convolve(noise, [0.5, 0.5], "same").astype(form).tobytes())
            fitter = PictureFitter(width=112, height=112, fit=fit, pixel_shape=Fraction(1), matrix="bt601")
            out = np.empty((168, 112), np.uint8)
            fitter.write(frame, out)
            print(kind, width, fit, hashlib.sha256(out.tobytes()).hexdigest())
for path in sys.argv[3:]:
    with av.open(path) as container:
        digest = hashlib.sha256()
        for frame in container.decode(video=0):
            digest.update(frame.to_ndarray().tobytes())
        print(path, digest.hexdigest())
"""
"""Stored pictures of all kinds, and decoded ones, with what this processor can do or with less."""
DECODED: dict[str, dict[str, Any]] = {
    "mpeg4.avi": {"video_codec": "mpeg4", "audio_codec": "libmp3lame"},
    "mpeg2.mkv": {"video_codec": "mpeg2video", "fps": F(25)},
    "mjpeg.mov": {"video_codec": "mjpeg", "pixel_format": "yuvj420p", "audio_codec": "pcm_s16le"},
    "vp8.mkv": {"video_codec": "libvpx"},
    "h264.mp4": {},
}


def test_pictures_do_not_depend_on_what_the_processor_can_do(tmp_path: Path):
    libraries = list(Path(av.__file__).parent.parent.glob("av.libs/libavutil*"))
    if (
        platform.machine() != "x86_64"
        or not libraries
        or not hasattr(ctypes.CDLL(str(libraries[0])), "av_parse_cpu_caps")
    ):
        pytest.skip("no x86-64, or FFmpeg's library is not to be found")
    files = [write_video(tmp_path / name, replace(SMALL, **{"seconds": F(2)} | kind)) for name, kind in DECODED.items()]

    def run(flags: str) -> list[str]:
        command = [sys.executable, "-c", FITTED, str(libraries[0]), flags, *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    here = run("")
    assert len(here) == 9 * 4 * 3 + len(files)
    for flags in ("sse2", "mmx+mmxext+sse+sse2+sse3+ssse3+sse4.1", "0"):
        assert run(flags) == here, flags
