"""Whatever a picture's numbers mean by format, range and matrix, the clip shows its colours, within 2 steps of 255."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import av.video.format
import numpy as np
import pytest
from av.error import FFmpegError

from sharding.errors import RejectError
from sharding.format.clip import Clock, ColorMatrix, Fit
from sharding.media.colors import UNKNOWN, Family, family_of, matrix_of
from sharding.media.decode import OutputSpec, decode_span
from sharding.media.picture import PictureFitter
from sharding.media.probe import probe
from tests.data import DATA
from tests.media import Video, write_video
from tests.pixels import Rgb, make_frame, stored
from tests.remux import retag

FAULTS = DATA / "faults"

STEPS = 2
PURE: tuple[Rgb, ...] = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1), (0, 0, 0))
MIXED: tuple[Rgb, ...] = ((0.2, 0.5, 0.8), (0.9, 0.6, 0.3))
GRAYS: tuple[Rgb, ...] = ((0, 0, 0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5), (1, 1, 1))
BITS: tuple[Rgb, ...] = ((0, 0, 0), (1, 1, 1))
FRACTIONS = {f"{kind}{bits}{order}" for kind in ("grayf", "yaf") for bits in (16, 32) for order in ("be", "le")}
"""FFmpeg's scaler forgets their range, or ends the process."""
NAMES: list[str] = sorted(av.video.format.names - FRACTIONS)  # pyright: ignore[reportAttributeAccessIssue]
ROUGH = {"rgb8": 3, "bgr8": 3}
"""Steps of formats of so few bits that FFmpeg's table of them is not exact."""
LIGHT = ("xyz12be", "xyz12le")
"""Not made of luma weights: a test of their own."""


def colors_of(name: str) -> tuple[Rgb, ...]:
    format = av.VideoFormat(name)
    match family_of(format):
        case Family.MONO:
            return BITS
        case Family.GRAY:
            return GRAYS
        case _:
            return PURE if min(part.bits for part in format.components) < 8 and not format.is_bayer else PURE + MIXED


def middle(frame: av.VideoFrame, fitter: PictureFitter) -> np.ndarray:
    """Y, U and V of the middle of the fitted picture."""
    out = np.zeros((fitter.height * 3 // 2, fitter.width), np.uint8)
    fitter.write(frame, out)
    luma, chroma = out[: fitter.height], out[fitter.height :].reshape(2, fitter.height // 2, fitter.width // 2)
    row, column = fitter.height // 4, fitter.width // 4
    return np.array([luma[2 * row, 2 * column], *chroma[:, row, column]], float)


def fitter_of(
    matrix: ColorMatrix, side: int = 16, fit: Fit = "squash", shape: Fraction = Fraction(1), *, tagged: bool = False
) -> PictureFitter:
    return PictureFitter(width=side, height=side, fit=fit, pixel_shape=shape, matrix=matrix, tagged=tagged)


def can_be_read(name: str) -> bool:
    """FFmpeg's scaler knows the numbers of this format."""
    graph = av.filter.Graph()
    steps = [("buffer", f"video_size=16x16:time_base=1:pix_fmt={name}"), ("scale", "8:8"), ("format", "yuv444p")]
    try:
        graph.link_nodes(*(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
    except FFmpegError:
        return False
    return True


def write_color(path: Path, codec: str, name: str, rgb: Rgb, tag: int) -> Path:
    """A second of one colour, in bt709 if it is YUV, and noise."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 48, name
        stream.codec_context.colorspace = tag
        sound: Any = file.add_stream("aac" if path.suffix == ".mp4" else "pcm_s16le", rate=44_100, layout="mono")
        noise = np.random.default_rng(0).integers(-3000, 3000, (1, 44_100), np.int16)
        for number in range(10):
            frame = make_frame(name, rgb, side=48)
            frame.colorspace, frame.pts = tag, number
            file.mux(stream.encode(frame))
        heard = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        heard.sample_rate, heard.pts = 44_100, 0
        file.mux([*stream.encode(None), *sound.encode(heard), *sound.encode(None)])
    return path


def middle_of(path: Path) -> np.ndarray:
    spec = OutputSpec(clock=Clock(fps=Fraction(10), sample_rate=44_100), width=32, height=32, channels=1)
    picture = decode_span(probe(path), first_frame=2, frames=5, spec=spec).yuv[2].astype(float)
    return np.array([picture[16, 16], picture[34, 8], picture[42, 8]])


def wrong(name: str, color_range: int, fitter: PictureFitter) -> list[str]:
    """What is amiss with the colours of a format."""
    found: list[str] = []
    for rgb in colors_of(name):
        frame = make_frame(name, rgb, fitter.matrix, color_range=color_range)
        got, want = middle(frame, fitter), stored(rgb, fitter.matrix)
        if np.abs(got - want).max() > ROUGH.get(name, STEPS):
            found.append(f"{name}, {rgb}: {got} is not {want.round(1)}")
    return found


READ = [name for name in NAMES if can_be_read(name)]


@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("side", [16, 32])
def test_every_pixel_format_shows_its_colours_whatever_its_range(side: int, color_range: int):
    faults = [
        fault for name in READ if name not in LIGHT for fault in wrong(name, color_range, fitter_of("bt709", side))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("matrix", ["bt601", "bt2020"])
def test_so_does_every_one_when_cut_or_framed_in_another_matrix(matrix: ColorMatrix, fit: Fit):
    faults = []
    for name in READ:
        if name not in LIGHT:
            faults += wrong(name, 0, fitter_of(matrix, 24, fit, Fraction(3, 2)))
    assert not faults, "\n".join(faults)


def test_bars_are_black_beside_gray_of_limited_range():
    out = np.zeros((24, 16), np.uint8)
    fitter_of("bt601", 16, "pad", Fraction(2)).write(make_frame("gray", (1, 1, 1)), out)
    assert (out[0] == 16).all()
    assert (out[8] == 235).all()


def test_what_the_scaler_does_not_know_is_refused_and_nothing_is_stored():
    for name in (name for name in NAMES if name not in READ):
        try:
            frame = av.VideoFrame(16, 16, name)
        except FFmpegError:
            continue  # it lies in a graphics card: there is no picture of it here
        with pytest.raises(FFmpegError):
            middle(frame, fitter_of("bt709"))
    for name in FRACTIONS:
        with pytest.raises(RejectError, match=name):
            middle(av.VideoFrame(16, 16, name), fitter_of("bt709"))


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_light_of_digital_cinema_becomes_colours(matrix: ColorMatrix, name: str):
    weights = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of BT.709
    for rgb in (*MIXED, *GRAYS[:3], (0.9, 0.3, 0.3), (0.3, 0.9, 0.3), (0.3, 0.3, 0.9)):
        light = weights @ np.array(rgb) ** 2.2  # FFmpeg's gamma
        numbers = np.rint(4095 * light.clip(0, 1) ** (1 / 2.6)).astype(int) << 4
        frame = av.VideoFrame(32, 32, name)
        pixels = np.resize(numbers, (32, 96)).astype(">u2" if name.endswith("be") else "<u2")
        frame.planes[0].update(pixels.tobytes())
        assert np.abs(middle(frame, fitter_of(matrix)) - stored(rgb, matrix)).max() <= STEPS, rgb


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p10le", "uyvy422", "nv12", "yuvj422p"])
@pytest.mark.parametrize(("tag", "own"), [(4, "fcc"), (7, "smpte240m"), (8, "ycgco")])
def test_a_matrix_that_clips_have_no_name_for_becomes_one_that_has(tag: int, own: str, name: str, matrix: ColorMatrix):
    for color_range in (0, 1, 2):
        for fitter in (fitter_of(matrix), fitter_of(matrix, 32), fitter_of(matrix, 32, "pad", Fraction(2))):
            for rgb in PURE + MIXED:
                frame = make_frame(name, rgb, own, color_range=color_range)
                frame.colorspace = tag
                assert np.abs(middle(frame, fitter) - stored(rgb, matrix)).max() <= STEPS, rgb
                assert frame.colorspace == tag


def test_pictures_that_change_their_matrix_or_range_on_the_way_keep_their_colours():
    fitter = fitter_of("bt709", 32, tagged=True)
    kinds = [(1, "bt709", 1), (6, "bt601", 1), (6, "bt601", 2), (1, "bt709", 2), (9, "bt2020", 0), (2, "bt709", 0)]
    for tag, own, color_range in (*kinds, *reversed(kinds)):
        for rgb in MIXED:
            frame = make_frame("yuv420p", rgb, own, color_range=color_range)
            frame.colorspace = tag
            assert np.abs(middle(frame, fitter) - stored(rgb, "bt709")).max() <= STEPS, (tag, color_range, rgb)


@pytest.mark.parametrize("tag", [0, 1, 2, 3, 5, 9, 10])
def test_numbers_stay_as_they_are_where_the_source_names_no_matrix(tag: int):
    frame = make_frame("yuv420p", MIXED[0], "bt709")
    frame.colorspace = tag
    assert np.abs(middle(frame, fitter_of("bt709")) - stored(MIXED[0], "bt709")).max() <= 1


@pytest.mark.parametrize("tag", UNKNOWN)
def test_colours_that_cannot_be_converted_are_refused_where_they_would_count(tag: int):
    for name in ("yuv420p", "yuv444p10le", "p010le"):
        with pytest.raises(RejectError, match=f"matrix {tag} of H.273"):
            matrix_of(tag, av.VideoFormat(name), 1080)
        frame = make_frame(name, MIXED[0])
        frame.colorspace = tag
        with pytest.raises(RejectError, match=f"matrix {tag} of H.273"):
            middle(frame, fitter_of("bt709"))
    for name in ("gbrp", "gray", "pal8"):
        assert matrix_of(tag, av.VideoFormat(name), 1080) == "bt709"
        frame = make_frame(name, (1, 1, 1), color_range=2)
        frame.colorspace = tag
        assert np.abs(middle(frame, fitter_of("bt709")) - stored((1, 1, 1), "bt709")).max() <= STEPS


MATRICES = {0: None, 1: "bt709", 2: None, 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 8: None, 9: "bt2020"}


@pytest.mark.parametrize("tag", MATRICES)
def test_a_file_tells_its_matrix_and_its_size_does_where_it_does_not(tag: int, tmp_path: Path):
    plain = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(1), events=(), height=64))
    source = probe(retag(plain, tmp_path / "b.mp4", f"matrix_coefficients={tag}"))
    assert source.matrix == (MATRICES[tag] or "bt601")
    assert source.tagged == (tag not in (0, 2))
    assert matrix_of(tag, av.VideoFormat("yuv420p"), 720) == (MATRICES[tag] or "bt709")


def test_a_file_of_another_kind_of_colours_is_rejected_with_the_reason(tmp_path: Path):
    plain = write_video(tmp_path / "a.mp4", Video(seconds=Fraction(1), events=(), height=64))
    with pytest.raises(RejectError, match="ICtCp"):
        probe(retag(plain, tmp_path / "b.mp4", "matrix_coefficients=14"))


@pytest.mark.parametrize(
    ("suffix", "codec", "names"),
    [
        ("mov", "rawvideo", "uyvy422 yuyv422 rgb24 argb rgb555be rgb555le rgb565le"),
        ("avi", "rawvideo", "uyvy422 yuyv422 yvyu422 nv12 bgr24 rgb555le gray"),
        ("mkv", "ffv1", "yuv444p16le yuv420p10le yuva420p yuv411p gbrp10le bgr0 gray gray16le"),
        ("mov", "v210", "yuv422p10le"),
        ("mov", "prores_ks", "yuv422p10le yuv444p10le"),
        ("mov", "qtrle", "rgb24 argb rgb555be"),
        ("mov", "png", "rgb24 rgb48be rgba"),
        ("avi", "utvideo", "gbrp yuv422p"),
        ("avi", "huffyuv", "rgb24 yuv422p"),
        ("mov", "mjpeg", "yuvj420p yuvj422p"),
        ("mp4", "libx264rgb", "rgb24"),
        ("mp4", "libx264", "yuv420p yuvj420p nv12 yuv422p10le"),
    ],
)
@pytest.mark.parametrize("tag", [2, 1])
def test_files_of_every_sort_show_their_colours(tag: int, suffix: str, codec: str, names: str, tmp_path: Path):
    for name in names.split():
        family = family_of(av.VideoFormat(name))
        for rgb in GRAYS[1:3] if family is Family.GRAY else ((1, 0, 0), (0, 0, 1)):
            path = write_color(tmp_path / f"{name}.{suffix}", codec, name, rgb, 2 if family is Family.RGB else tag)
            matrix = probe(path).matrix if family is Family.RGB else "bt709"  # else the numbers stay
            assert np.abs(middle_of(path) - stored(rgb, matrix)).max() <= STEPS, (name, rgb)


@pytest.mark.data
@pytest.mark.parametrize("name", ["08-uyvy422-720-lines.mov", "08-uyvy422-tagged-bt709.mov"])
def test_packed_pictures_of_a_real_file_keep_their_numbers(name: str):
    source = probe(FAULTS / name)
    assert source.matrix == "bt709"
    spec = OutputSpec(clock=Clock(fps=Fraction(2), sample_rate=44_100), width=32, height=32, channels=1)
    pictures = decode_span(source, first_frame=0, frames=10, spec=spec).yuv.astype(int)
    unlit = pictures[pictures[:, 0, 0] < 158]
    assert len(unlit) >= 4
    for part, number in ((unlit[:, :32], 81), (unlit[:, 32:40], 90), (unlit[:, 40:], 240)):
        assert np.abs(part - number).max() <= STEPS
