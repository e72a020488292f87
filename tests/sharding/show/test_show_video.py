"""`avsync show VIDEO`: every stream of a file, what would be used and why, and what packing would do."""

import io
import shutil
import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from rich.console import Console

from launch.cli import DONE, FAILED, main
from sharding.config import PackConfig
from sharding.containers.choice import StreamWish
from sharding.errors import InputError
from sharding.format.dataset import open_dataset
from sharding.pack.pack import pack
from sharding.show.video_facts import VideoFacts, read_facts
from sharding.show.video_screen import print_facts, show_video
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL

ANY = StreamWish()
CONFIG = PackConfig()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def good(folder: Path) -> Path:
    return write_video(folder / "good.mp4", Video())


@pytest.fixture(scope="module")
def silent(folder: Path) -> Path:
    return write_video(folder / "silent.mp4", Video(events=(), noise=0))


def with_tracks(path: Path, picture: Path, *sounds: tuple[Path, dict[str, str]]) -> Path:
    """The picture of one file and the sound of others, each with its metadata."""
    files = [av.open(str(one)) for one in (picture, *(sound for sound, _ in sounds))]
    kept: list[Any] = [files[0].streams.video[0], *(file.streams.audio[0] for file in files[1:])]
    with av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream) for stream in kept]
        for stream, (_, words) in zip(streams[1:], sounds, strict=True):
            stream.metadata.update(words)
        packets: list[tuple[Any, Any]] = []
        for stream, file, old in zip(streams, files, kept, strict=True):
            packets += [(packet, stream) for packet in file.demux(old) if packet.size]
        for packet, stream in sorted(packets, key=lambda pair: pair[0].dts * pair[0].time_base):
            packet.stream = stream
            new.mux(packet)
    for file in files:
        file.close()
    return path


def printed(facts: VideoFacts, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    print_facts(facts, CONFIG, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def whys(facts: VideoFacts) -> dict[int, str]:
    return {one.index: one.why for one in facts.streams if not one.used}


def test_a_plain_video_has_two_streams_and_both_are_used(good: Path):
    facts = read_facts(good, ANY, CONFIG)
    assert [(one.index, one.kind, one.codec, one.used) for one in facts.streams] == [
        (0, "video", "h264", True),
        (1, "audio", "aac", True),
    ]
    assert [one.form for one in facts.streams] == ["96x64, 30 fps", "44,100 Hz, mono"]
    assert facts.reject is None
    assert facts.stretches == ((Fraction(0), Fraction(6)),)
    assert str(facts.clock) == ""
    assert "by its packets its clock is sure" in printed(facts)


def test_what_it_says_would_be_cut_is_cut(folder: Path, tmp_path: Path):
    path = write_video(tmp_path / "in" / "a.mp4", Video(seconds=Fraction(25)))
    facts = read_facts(path, ANY, CONFIG)
    pack(path.parent, tmp_path / "out", replace(SMALL, val_percent=0, test_percent=0), QUIET)
    index = open_dataset(tmp_path / "out", "train").index
    assert [(piece.start, len(piece)) for piece in facts.pieces] == list(
        zip(index.first_frame.tolist(), index.frames.tolist(), strict=True)
    )
    assert f"{len(facts.pieces)} clips" in printed(facts)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"language": "fre"}, "FFmpeg would play stream 1"),
        ({"title": "Director's commentary"}, "commentary, audio description or the like"),
    ],
)
def test_it_says_why_a_sound_is_not_used(words: dict[str, str], why: str, good: Path, tmp_path: Path):
    facts = read_facts(with_tracks(tmp_path / "a.mkv", good, (good, {}), (good, words)), ANY, CONFIG)
    assert whys(facts) == {2: why}
    text = printed(facts)
    assert f"no: {why}" in text
    assert all(value in text for value in words.values())


def test_a_silent_sound_that_would_come_first_is_told(good: Path, silent: Path, tmp_path: Path):
    facts = read_facts(with_tracks(tmp_path / "a.mkv", good, (silent, {}), (good, {})), ANY, CONFIG)
    assert whys(facts) == {1: "it is silent from end to end"}


def test_of_silent_sounds_the_first_is_used_and_none_is_called_so(good: Path, silent: Path, tmp_path: Path):
    facts = read_facts(with_tracks(tmp_path / "a.mkv", good, (silent, {}), (silent, {})), ANY, CONFIG)
    assert whys(facts) == {2: "FFmpeg would play stream 1"}


def test_streams_may_be_named(good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = with_tracks(tmp_path / "a.mkv", good, (good, {}), (good, {}))
    assert main(["show", str(path), "--audio-stream", "2", "--video-stream", "0"]) == DONE
    assert "no: stream 2 was asked for" in " ".join(capsys.readouterr().out.split())
    assert main(["show", str(path), "--audio-stream", "0"]) == DONE
    assert "avsync pack would reject it as no_audio: stream 0 is no audio" in capsys.readouterr().out


def test_codecs_are_called_as_ffprobe_calls_them_whatever_the_decoder(tmp_path: Path):
    facts = read_facts(write_video(tmp_path / "a.mkv", Video(audio_codec="libmp3lame")), ANY, CONFIG)
    assert [one.codec for one in facts.streams] == ["h264", "mp3"]


def test_a_single_picture_beside_one_that_moves_is_not_used(good: Path, tmp_path: Path):
    path = tmp_path / "a.mkv"
    single = write_video(tmp_path / "one.mp4", Video(seconds=Fraction(1, 30), audio_codec="", events=()))
    with av.open(str(good)) as film, av.open(str(single)) as still, av.open(str(path), "w") as new:
        kept: list[Any] = [still.streams.video[0], *film.streams]
        streams = [new.add_stream_from_template(stream) for stream in kept]
        packets: list[tuple[Any, Any]] = [(packet, streams[0]) for packet in still.demux() if packet.size]
        packets += [(packet, streams[1 + packet.stream_index]) for packet in film.demux() if packet.size]
        for packet, stream in sorted(packets, key=lambda pair: pair[0].dts * pair[0].time_base):
            packet.stream = stream
            new.mux(packet)
    assert whys(read_facts(path, ANY, CONFIG)) == {0: "a single picture"}


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="only the program writes covers")
def test_a_cover_is_called_a_cover(good: Path, tmp_path: Path):
    cover, path = tmp_path / "cover.png", tmp_path / "a.mp4"
    run = ("ffmpeg", "-v", "error", "-y")
    subprocess.run([*run, "-i", str(good), "-frames:v", "1", str(cover)], check=True)
    maps = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
    subprocess.run([*run, "-i", str(good), "-i", str(cover), *maps, str(path)], check=True)
    assert whys(read_facts(path, ANY, CONFIG)) == {2: "a cover, a thumbnail or a still picture"}


def test_a_clock_that_starts_again_is_told_with_its_stretches(folder: Path):
    parts = [write_video(folder / f"{seed}.ts", Video(seed=seed)) for seed in range(3)]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    facts = read_facts(path, ANY, CONFIG)
    assert facts.clock.restarts == 2
    assert len(facts.stretches) == 3
    assert all(5.9 < end - start < 6.1 for start, end in facts.stretches)
    assert "its clock is mended: 2 restarts of its clock; --strict would leave it out" in printed(facts)


def test_a_file_that_breaks_off_says_what_is_missing(folder: Path):
    whole = write_video(folder / "whole.mkv", Video(seconds=Fraction(40), audio_codec="flac"))
    path = folder / "torn.mkv"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    facts, all_of_it = read_facts(path, ANY, CONFIG), read_facts(whole, ANY, CONFIG)
    assert 0 < len(facts.pieces) < len(all_of_it.pieces)
    assert facts.lost > 0
    assert facts.found is not None
    assert facts.found.missing not in facts.stretches
    text = printed(facts)
    assert "it breaks off" in text
    assert "would be lost with what is missing" in text


@pytest.mark.parametrize(
    ("name", "video", "reason"),
    [
        ("mute.mp4", Video(audio_codec=""), "no_audio"),
        ("blind.mp4", Video(video_codec=""), "no_video"),
        ("short.mp4", Video(seconds=Fraction(3), events=()), "too_short"),
    ],
)
def test_what_would_be_rejected_is_told_with_its_streams(name: str, video: Video, reason: str, folder: Path):
    facts = read_facts(write_video(folder / name, video), ANY, CONFIG)
    assert facts.reject is not None
    assert facts.reject.reason == reason
    assert facts.streams
    assert not facts.pieces
    assert f"avsync pack would reject it as {reason}: " in printed(facts)


def test_what_is_no_video_is_told(folder: Path, capsys: pytest.CaptureFixture[str]):
    text = folder / "text.mp4"
    text.write_text("no video at all")
    assert main(["show", str(text)]) == DONE
    assert "would reject it as corrupt: is no video that FFmpeg can open" in capsys.readouterr().out
    assert main(["show", str(folder / "no such.mp4")]) == FAILED
    assert "No such file" in capsys.readouterr().err
    with pytest.raises(InputError, match="name a video, a dataset or a run"):
        show_video(folder / "no such", ANY)


@pytest.mark.parametrize("width", [32, 60, 120])
def test_nothing_is_cut_off_at_any_width_and_no_title_steers_the_terminal(width: int, good: Path, tmp_path: Path):
    odd = {"title": "[red]\x1b[2J film", "language": "fre"}
    path = with_tracks(tmp_path / "a.mkv", good, (good, {}), (good, odd))
    text = printed(read_facts(path, ANY, CONFIG), width)
    assert "…" not in text
    assert "\x1b" not in text
    assert r"[red]\x1b[2Jfilm" in "".join(text.split())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("{folder}/good.mp4", "--page", "a.html"), "--page is for a dataset, and {folder}/good.mp4 is a file"),
        (("{folder}/good.mp4", "--clips"), "--clips is for a run, and {folder}/good.mp4 is a file"),
        (("{folder}/good.mp4", "--csv", "a.csv"), "--csv is for a dataset or a run, and"),
        (("{folder}", "--video-stream", "0"), "--video-stream is for a video, and {folder} is no video file"),
    ],
)
def test_flags_for_something_else_are_refused(
    flags: tuple[str, ...], message: str, good: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["show", *(flag.format(folder=good.parent) for flag in flags)]) == FAILED
    assert message.format(folder=good.parent) in capsys.readouterr().err
