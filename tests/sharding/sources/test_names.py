"""A list finds its files in whatever Unicode form it or the disk writes names; what is only similar is a hint."""

from pathlib import Path
from typing import Literal, get_args
from unicodedata import normalize

import pytest

from sharding.config import PackConfig, PackOptions
from sharding.errors import InputError
from sharding.pack.pack import pack
from sharding.plan.todo import listed
from sharding.sources.find import find_sources
from sharding.sources.source import Source, source_id
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL

Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, ...] = get_args(Form)
NAMES = ("Größe Café.mp4", "ñandú/Ångström/été.MKV", "한국어/각.webm", "plain/é.mp4", "Å/x.mp4")


def only(folder: Path, name: str, *, boxes: str = "") -> Source:
    """The source of a list of one row."""
    (folder / "list.csv").write_text(f"path,action,boxes\n{name},x,{boxes}\n")
    (source,) = find_sources(folder / "list.csv").sources
    return source


def touch(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("on_disk", FORMS)
@pytest.mark.parametrize("in_list", FORMS)
def test_a_name_is_found_in_either_form_and_its_id_is_that_of_the_list(
    in_list: Form, on_disk: Form, name: str, tmp_path: Path
):
    wanted = normalize(in_list, name)
    path = touch(tmp_path, normalize(on_disk, name))
    source = only(tmp_path, wanted)
    assert (source.path, source.absent) == (path, "")
    assert (source.rel, source.id) == (wanted, source_id(wanted))


def test_each_folder_of_a_path_may_have_its_own_form(tmp_path: Path):
    path = touch(tmp_path, "/".join((normalize("NFD", "é"), normalize("NFC", "ü"), normalize("NFD", "å.mp4"))))
    assert only(tmp_path, normalize("NFC", "é/ü/å.mp4")).path == path
    assert only(tmp_path, normalize("NFD", "./é/../é/ü/å.mp4")).path == path
    assert only(tmp_path, normalize("NFC", str(path))).path == path
    (tmp_path / "lists").mkdir()
    assert only(tmp_path / "lists", normalize("NFC", "../é/ü/å.mp4")).path.samefile(path)


@pytest.mark.parametrize("form", FORMS)
def test_an_exact_name_wins(form: Form, tmp_path: Path):
    for each in FORMS:
        touch(tmp_path, normalize(each, "é/ü.mp4"))
    assert only(tmp_path, normalize(form, "é/ü.mp4")).path == tmp_path / normalize(form, "é/ü.mp4")


def test_of_several_that_differ_in_form_alone_none_is_taken(tmp_path: Path):
    one, other = "e\u0301u\u0308.mp4", "\xe9u\u0308.mp4"  # the list names neither
    for name in (one, other):
        touch(tmp_path, name)
    source = only(tmp_path, "\xe9\xfc.mp4")
    assert not source.path.exists()
    assert source.absent.startswith("no such file, but several whose names differ in their Unicode form alone: ")
    assert ascii(one) in source.absent
    assert ascii(other) in source.absent


def test_a_folder_of_the_other_form_that_lacks_the_file_is_no_match(tmp_path: Path):
    touch(tmp_path, normalize("NFC", "é/other.mp4"))
    path = touch(tmp_path, normalize("NFD", "é/x.mp4"))
    assert only(tmp_path, normalize("NFC", "é/x.mp4")).path == path


HINTS = {
    "X.MP4": ("x.mp4", "no such file; there is 'X.MP4'"),
    "É.mp4": (normalize("NFD", "é.mp4"), "no such file; there is 'É.mp4'"),
    "a/take 1.mkv": ("a/take 1.mp4", "no such file; there is 'take 1.mkv'"),
    "a/take.1.mp4": ("a/take.1", "no such file; there is 'take.1.mp4'"),
    "Dogs/x.mp4": ("dogs/x.mp4", "no such file: there is no folder 'dogs', but 'Dogs'"),
    "a/new\nline.MP4": ('"a/new\nline.mp4"', "no such file; there is 'new\\nline.MP4'"),
    "a/far.mp4": ("a/near.mp4", ""),
    "b/x.mp4": ("a/x.mp4", ""),
    "v1.5/x.mp4": ("v1.6/x.mp4", ""),
}


@pytest.mark.parametrize("there", HINTS)
def test_what_is_only_similar_is_a_hint_and_no_match(there: str, tmp_path: Path):
    touch(tmp_path, there)
    name, hint = HINTS[there]
    source = only(tmp_path, name)
    assert source.absent == hint
    assert not source.path.exists()


def test_boxes_are_found_in_either_form_and_two_of_a_kind_are_refused(tmp_path: Path):
    touch(tmp_path, "a.mp4")
    path = touch(tmp_path, normalize("NFD", "é/ü.json"))
    assert only(tmp_path, "a.mp4", boxes=normalize("NFC", "é/ü.json")).boxes == path
    touch(tmp_path, "\xe9/u\u0308.json")
    with pytest.raises(InputError, match=r"list.csv, line 2: boxes .*several whose names differ"):
        only(tmp_path, "a.mp4", boxes="\xe9/\xfc.json")


@pytest.mark.parametrize("cut", ["_000001_000011", ""])
@pytest.mark.parametrize("on_disk", FORMS)
@pytest.mark.parametrize("in_list", FORMS)
def test_a_list_of_kinetics_finds_either_form(in_list: Form, on_disk: Form, cut: str, tmp_path: Path):
    path = touch(tmp_path, normalize(on_disk, f"tanz/größe/vidé{cut}.mp4"))
    touch(tmp_path, normalize(on_disk, f"tanz/kleine/vidé{cut}.mp4"))
    (tmp_path / "list.csv").write_text(
        normalize(in_list, "label,youtube_id,time_start,time_end,split\ngröße,vidé,1,11,train\n")
    )
    (source,) = find_sources(tmp_path / "list.csv").sources
    assert (source.path, source.absent) == (path, "")
    assert source.id == source_id(normalize(in_list, "größe/vidé_000001_000011"), "@1:11")


def test_a_list_of_kinetics_takes_the_exact_name_or_none_of_several_and_gives_a_hint(tmp_path: Path):
    for name in ("\xe9\xfc", "e\u0301u\u0308", "e\u0301\xe5", "\xe9a\u030a", "Abc"):
        touch(tmp_path, f"{name}.mp4")
    rows = "".join(f"x,{name},1,11,train\n" for name in ("e\u0301u\u0308", "\xe9\xe5", "aBC"))
    (tmp_path / "list.csv").write_text(f"label,youtube_id,time_start,time_end,split\n{rows}")
    found = {source.group: source for source in find_sources(tmp_path / "list.csv").sources}
    assert found["e\u0301u\u0308"].path == tmp_path / "e\u0301u\u0308.mp4"
    assert "but several whose names differ in their Unicode form alone" in found["\xe9\xe5"].absent
    assert found["aBC"].absent.endswith("; there is 'Abc.mp4'")


def test_rows_that_name_one_file_in_two_forms_are_copies(tmp_path: Path):
    write_video(tmp_path / normalize("NFD", "é.mp4"), Video(width=32, height=32))
    rows = "".join(f"{normalize(form, 'é.mp4')},x\n" for form in FORMS)
    (tmp_path / "list.csv").write_text(f"path,action\n{rows}no.mp4,x\n")
    assert len(listed(tmp_path / "list.csv", PackConfig(), PackOptions())[0].sources) == 3
    summary = pack(tmp_path / "list.csv", tmp_path / "out", SMALL, QUIET)
    assert [one.reason for one in summary.rejects] == ["unreadable", "duplicate"]
    assert sum(summary.clips.values()) == 1
