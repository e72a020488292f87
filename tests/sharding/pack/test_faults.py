"""Faults of sources, disks and file systems: each is laid at the right door, and one of them stops nothing else."""

import errno
import fcntl
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction as F
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av import AudioFrame, AudioResampler
from av.error import PermissionError
from rich.console import Console

from sharding.base.locks import folder_lock
from sharding.config import PackConfig
from sharding.errors import AvsyncError, InputError, RejectError, SkipClip
from sharding.format.clip import Clock
from sharding.format.dataset import open_dataset
from sharding.media.audio import _Segment, _silence
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.picture import PictureFitter
from sharding.media.probe import open_media, probe
from sharding.pack.pack import pack
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL, Packed, contents

TRAIN_ONLY = replace(SMALL, val_percent=0, test_percent=0)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder of two good videos."""
    for number in range(2):
        write_video(tmp_path / "in" / f"{number}.mp4", Video(seed=number))
    return tmp_path / "in"


def failing(real: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Fails as FFmpeg does, with an error that is an OSError too; from the second call on it is `real`."""
    calls = list[object]()

    def call(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if real is None or len(calls) == 1:
            raise PermissionError(errno.EACCES, "Permission denied", "video.mp4")
        return real(*arguments, **named)

    return call


@pytest.mark.parametrize(("owner", "name"), [(PictureFitter, "write"), (_Segment, "add")])
def test_a_source_that_ffmpeg_fails_on_is_a_reject_and_the_others_are_packed(
    owner: type, name: str, two: Path, monkeypatch, in_process
):
    monkeypatch.setattr(owner, name, failing(getattr(owner, name)))
    summary = pack(two, two.parent / "out", TRAIN_ONLY, QUIET)
    assert [(one.reason, one.detail) for one in summary.rejects] == [
        ("corrupt", "FFmpeg fails on it: Permission denied")
    ]
    assert summary.clips["train"] == 1


def test_an_encoder_that_fails_is_not_blamed_on_the_disk(two: Path, monkeypatch, in_process):
    monkeypatch.setattr("sharding.format.codec.H264.encode_video", failing())
    with pytest.raises(AvsyncError, match="FFmpeg cannot encode a clip of train/000000: Permission denied"):
        pack(two, two.parent / "out", TRAIN_ONLY, QUIET)


def test_a_file_that_cannot_be_sought_is_read_from_its_start(tmp_path: Path, monkeypatch):
    form = OutputSpec(clock=Clock(fps=F(30), sample_rate=44_100), width=32, height=32, channels=1)
    source = probe(write_video(tmp_path / "a.mov", Video(audio_codec="pcm_s16le")))
    read = decode_span(source, first_frame=100, frames=30, spec=form)
    monkeypatch.setattr("sharding.media.stream.SEEK_FROM_S", 3)
    opened = list[Any]()

    class Unseekable:
        def __init__(self, path: Path, **options: str) -> None:
            self._container = open_media(path, **options)
            opened.append(self)

        def __getattr__(self, name: str) -> Any:
            return failing() if name == "seek" else getattr(self._container, name)

    monkeypatch.setattr("sharding.media.stream.open_media", Unseekable)
    unsought = decode_span(source, first_frame=100, frames=30, spec=form)
    assert len(opened) == 4
    assert np.array_equal(unsought.yuv, read.yuv)
    assert np.array_equal(unsought.audio, read.audio)


@pytest.mark.parametrize("name", ["Lecture: intro.mp4", "concat:a|b.mp4", "http:x.mp4", "file:y.mp4", "%03d?#.mp4"])
def test_a_colon_in_a_name_is_no_protocol(name: str, tmp_path: Path, monkeypatch):
    write_video(tmp_path / "a.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert probe(Path(name)).video.packets == 180


def test_only_files_are_opened(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("http:/127.0.0.1/a.mp4", "concat:a.mp4|b.mp4", "data:,x"):
        with pytest.raises(RejectError, match="no such file"):
            open_media(Path(name))


def test_names_that_look_like_markup_are_printed_as_they_are(tmp_path: Path):
    write_video(tmp_path / "in" / "[bold]x" / "good.mp4")
    (tmp_path / "in" / "Title [dQw4w9WgXcQ].mp4").write_text("no video")
    (tmp_path / "list.csv").write_text("path,action\nin/[bold]x/good.mp4,x\na[/b].mp4,x\n")
    out = io.StringIO()
    console = Console(file=out, width=400)
    pack(tmp_path / "list.csv", tmp_path / "[/b]out", TRAIN_ONLY, console)
    pack(tmp_path / "in", tmp_path / "[i]out", TRAIN_ONLY, console)
    said = out.getvalue()
    for name in ("a[/b].mp4", "Title [dQw4w9WgXcQ].mp4"):
        assert f"{name}: is no video that FFmpeg can open" in said or f"{name}: no such file" in said
    assert f"{tmp_path}/[/b]out: 1 clip\n" in said
    assert f"all in {tmp_path}/[i]out/rejects.csv" in said


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_used_with_a_warning(code: int, tmp_path: Path, monkeypatch, capsys):
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with folder_lock(tmp_path / "run", "test"):
        pass
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"the file system of {tmp_path / 'run'} has no locks ({os.strerror(code)})" in told


@pytest.mark.parametrize("inside", ["", "deeper"])
def test_a_file_in_place_of_a_folder_is_named(inside: str, tmp_path: Path):
    (tmp_path / "run").touch()
    told = "it is a file" if not inside else "Not a directory"
    with pytest.raises(InputError, match=f"cannot use the folder {tmp_path / 'run' / inside}: {told}"):
        with folder_lock(tmp_path / "run" / inside, "test"):
            pass


@pytest.mark.parametrize("name", ["make_folder", "open_in_place"])
def test_a_folder_that_cannot_be_written_is_named(name: str, tmp_path: Path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(f"sharding.base.locks.{name}", refuse)
    with pytest.raises(InputError, match=f"cannot use the folder {tmp_path}: Read-only file system"):
        with folder_lock(tmp_path, "test"):
            pass


def test_a_full_disk_is_named_and_the_next_call_goes_on(packed: Packed, tmp_path: Path, monkeypatch, in_process):
    import sharding.pack.assemble

    real, calls = sharding.pack.assemble.write_json, []

    def full(path: Path, value: object) -> None:
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        real(path, value)

    monkeypatch.setattr("sharding.pack.assemble.write_json", full)
    with pytest.raises(InputError, match=r"No space left on device.*run the same command again"):
        pack(packed.videos, tmp_path / "out", SMALL, QUIET)
    summary = pack(packed.videos, tmp_path / "out", SMALL, QUIET)
    assert summary.shards_kept == 1
    assert contents(tmp_path / "out") == contents(packed.dataset)


def test_an_error_of_the_disk_at_the_end_of_packing_names_the_file(two: Path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "out/rejects.csv.part")

    monkeypatch.setattr("sharding.pack.finish.write_rejects", refuse)
    told = r"cannot write out/rejects.csv.part: Input/output error.*what is finished is kept"
    with pytest.raises(InputError, match=told):
        pack(two, two.parent / "out", TRAIN_ONLY, QUIET)


def test_a_training_run_is_not_packed_into(two: Path, tmp_path: Path):
    run = tmp_path / "run"
    run.mkdir()
    for name in (".lock", "run.json"):
        (run / name).touch()
    with pytest.raises(InputError, match="is a training run; name a new or empty folder"):
        pack(two, run, TRAIN_ONLY, QUIET)
    (run / "run.json").rename(run / "notes.txt")
    with pytest.raises(InputError, match=r"is not a dataset and not empty \(it holds notes.txt\)"):
        pack(two, run, TRAIN_ONLY, QUIET)
    (run / "notes.txt").unlink()  # what a stopped pack leaves may be there
    (run / "train").mkdir()
    pack(two, run, TRAIN_ONLY, QUIET)


@pytest.mark.parametrize("layout", ["mono", "5.1", "7.1", "22.2"])
@pytest.mark.parametrize("kind", ["fltp", "s16", "u8", "dblp"])
def test_silence_of_any_kind_is_silent(kind: str, layout: str):
    like = AudioFrame(kind, layout, 8)
    like.sample_rate = 48_000
    [heard] = AudioResampler("s16", "mono", 48_000).resample(_silence(like, 1000))
    assert heard.samples == 1000
    assert not heard.to_ndarray().any()


def test_a_clip_that_comes_in_small_reads_is_whole(packed: Packed, tmp_path: Path, monkeypatch):
    dataset = open_dataset(shutil.copytree(packed.dataset, tmp_path / "out"), "train")
    whole = dataset.read(0)
    whole_read = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, into, at: whole_read(file, [into[0][:1000]], at))
    dripped = dataset.read(0)
    assert (dripped.json, dripped.video, dripped.audio) == (whole.json, whole.video, whole.audio)
    os.truncate(dataset.shard_path(0), int(dataset.index.offset[0]) + 2500)
    with pytest.raises(SkipClip, match="are not those that were packed"):
        dataset.read(0)


def test_raw_clips_of_nearly_4_gib_may_be_packed():
    assert PackConfig(codec="raw", size=2190).picture == (2190, 2190)


def test_a_picture_that_never_changes_is_a_reject(tmp_path: Path):
    write_video(tmp_path / "in" / "cover.mp4", Video(still=True))
    write_video(tmp_path / "in" / "moving.mp4")
    summary = pack(tmp_path / "in", tmp_path / "out", TRAIN_ONLY, QUIET)
    assert [(one.path, one.reason) for one in summary.rejects] == [("cover.mp4", "frozen")]
