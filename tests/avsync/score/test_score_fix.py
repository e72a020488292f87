"""A fixed copy has its sound where it belongs, its pictures as they were, and never takes another file's place."""

from collections.abc import Sequence
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import pytest
from score_parts import film, late, scorer

from avsync.score.fix import FORMATS, fix, fixed_path
from sharding.errors import InputError
from sharding.format.clip import Clock
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.probe import probe
from tests.media import Video, beep_samples, flash_frames, write_video

RATE = 48_000
KINDS: dict[str, dict[str, object]] = {
    "h264-aac.mp4": {},
    "late-start.mp4": {"audio_start": Fraction(1, 2)},
    "h264-pcm.mov": {"audio_codec": "pcm_s16le"},
    "h264-aac.mkv": {},
    "h264-flac.mkv": {"audio_codec": "flac"},
    "h264-opus.mkv": {"audio_codec": "libopus", "sample_rate": RATE},
    "vp8-opus.webm": {"video_codec": "libvpx", "audio_codec": "libopus", "sample_rate": RATE},
    "mpeg4-mp3.avi": {"video_codec": "mpeg4", "audio_codec": "libmp3lame"},
    "mpeg4-pcm.avi": {"video_codec": "mpeg4", "audio_codec": "pcm_s16le"},
    "h264-aac.ts": {},
    "h264-aac.flv": {},
    "h264-aac.3gp": {},
    "mpeg1-mp2.mpg": {"video_codec": "mpeg1video", "audio_codec": "mp2"},
}
"""H.264 has B-frames here."""


def delays_ms(path: Path) -> list[float]:
    """How late each beep is after its flash; a flash is known to a 60th of a second."""
    form = OutputSpec(clock=Clock(fps=Fraction(60), sample_rate=RATE), width=96, height=64, channels=1)
    span = decode_span(probe(path), first_frame=0, frames=360, spec=form)
    flashes, beeps = flash_frames(span.yuv), beep_samples(span.audio)
    return [1000 * (beep / RATE - flash / 60) for flash, beep in zip(flashes, beeps, strict=True)]


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as file:
        return [sha256(bytes(one)).digest() for one in file.demux(**{kind: 0}) if one.size]


@pytest.mark.parametrize("offset", [-700, 1333])
@pytest.mark.parametrize("name", KINDS)
def test_the_sound_moves_by_what_was_asked_and_no_picture_changes(tmp_path: Path, name: str, offset: int) -> None:
    made = Video(beep_delay=Fraction(offset, 1000), **KINDS[name])  # type: ignore[arg-type]
    video = write_video(tmp_path / name, made)
    before = video.read_bytes()
    copy = fixed_path(video, "")
    assert fix(video, copy, offset).left_out == ()
    assert copy.name.split(".")[1] == "fixed"
    moved = [old - new for old, new in zip(delays_ms(video), delays_ms(copy), strict=True)]
    assert moved == pytest.approx([offset] * 2, abs=1000 / 60 + 2)
    assert delays_ms(copy) == pytest.approx([0, 0], abs=45)  # MPEG-4 in AVI and FLV begin a picture late
    if copy.suffix == video.suffix:
        assert packets(copy, "video") == packets(video, "video")
        heard = packets(copy, "audio")
        assert heard == packets(video, "audio")[-len(heard) :]
    assert video.read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def times(path: Path, kind: str) -> list[Fraction]:
    with av.open(str(path)) as file:
        stamps = [one.pts * one.time_base for one in file.demux(**{kind: 0}) if one.size and one.pts is not None]
    return [Fraction(stamp) for stamp in stamps]


@pytest.mark.parametrize(("name", "tick"), [("a.mp4", Fraction(1, 44_100)), ("a.mkv", Fraction(1, 1000))])
def test_every_packet_moves_exactly_as_far_as_the_container_can_tell(tmp_path: Path, name: str, tick: Fraction) -> None:
    video = write_video(tmp_path / name)
    copy = fixed_path(video, "")
    fix(video, copy, -700)
    assert times(copy, "video") == times(video, "video")
    moves = [new - old for new, old in zip(times(copy, "audio"), times(video, "audio"), strict=True)]
    assert max(abs(move - Fraction(7, 10)) for move in moves) <= tick


def with_more(video: Path, target: Path, languages: Sequence[str]) -> Path:
    """The same with its sound once for each language, and a title."""
    with av.open(str(video)) as old, av.open(str(target), "w") as new:
        new.metadata["title"] = "Two tongues"
        picture = new.add_stream_from_template(old.streams.video[0])
        sounds = [new.add_stream_from_template(old.streams.audio[0]) for _ in languages]
        for stream, language in zip(sounds, languages, strict=True):
            stream.metadata["language"] = language
        for packet in old.demux():
            if not packet.size:
                continue
            if packet.stream.type == "video":
                packet.stream = picture
                new.mux(packet)
                continue
            for stream in sounds:
                twin = av.Packet(bytes(packet))
                twin.pts, twin.dts, twin.duration, twin.time_base = (
                    packet.pts, packet.dts, packet.duration, packet.time_base,
                )  # fmt: skip
                twin.stream = stream
                new.mux(twin)
    return target


def test_all_sounds_move_and_keep_their_languages_and_the_title_stays(tmp_path: Path) -> None:
    video = with_more(write_video(tmp_path / "one.mkv"), tmp_path / "two.mkv", ["eng", "deu"])
    copy = fixed_path(video, "")
    fix(video, copy, -500)
    with av.open(str(copy)) as file:
        assert file.metadata["title"] == "Two tongues"
        assert [stream.metadata.get("language") for stream in file.streams.audio] == ["eng", "deu"]
        assert [stream.start_time * stream.time_base for stream in file.streams.audio] == [  # type: ignore[operator]
            pytest.approx(Fraction(1, 2), abs=0.03)
        ] * 2


def test_a_copy_takes_no_other_files_place(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    (tmp_path / "a.fixed.mp4").write_text("mine")
    with pytest.raises(InputError, match=r"--fix-to .*a\.fixed\.mp4 exists already; name another"):
        fixed_path(video, "")
    with pytest.raises(InputError, match="is the video itself; name another"):  # nobody should be told to delete it
        fixed_path(video, str(video))
    with pytest.raises(InputError, match=r"must end in one of \.mp4"):
        fixed_path(video, str(tmp_path / "b.txt"))
    assert set(FORMATS) > {".mp4", ".mkv", ".webm", ".avi"}


def test_a_copy_that_comes_out_wrong_is_thrown_away(tmp_path: Path) -> None:
    """AVI cannot say when a sound begins."""
    video = write_video(tmp_path / "a.avi", Video(video_codec="mpeg4", audio_codec="pcm_s16le"))
    with pytest.raises(InputError, match=r"thrown away: its sound moved by .* ms, not by 700; .* --fix-to NAME\.mkv"):
        fix(video, tmp_path / "b.avi", -700)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.avi"]


def test_a_container_that_does_not_take_the_streams_is_said_so(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"\.webm takes not both picture and sound of .*; try --fix-to NAME\.mkv"):
        fix(video, tmp_path / "b.webm", 400)
    assert not (tmp_path / "b.webm").exists()


def test_only_a_known_offset_is_mended(tmp_path: Path) -> None:
    wrong, right, silent = (
        write_video(tmp_path / f"{name}.mkv", made)
        for name, made in (("wrong", late(500)), ("right", film()), ("silent", film(noise=0, events=())))
    )
    tool = scorer(tmp_path / "answers", fix=True)
    done = {video.stem: tool.work(video) for video in (wrong, right, silent)}
    assert done["wrong"].fixed.startswith("Fixed copy, its sound 5")
    assert "in sync already" in done["right"].fixed
    assert "can't be told how far" in done["silent"].fixed
    assert [path.name for path in tmp_path.glob("*.fixed.*")] == ["wrong.fixed.mkv"]
    again = scorer(tmp_path / "more").work(tmp_path / "wrong.fixed.mkv").answer
    assert again is not None
    assert again.verdict == "in sync"
