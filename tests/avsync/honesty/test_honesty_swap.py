"""The swap test: a network that needs only one stream is found out, an honest one and a biased one are not."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avsync.data.batch import Batch
from avsync.data.order import Draw, View, mixed
from avsync.data.pairs import Pair, SoundWindow
from avsync.data.transforms import NetworkInput, prepare
from avsync.honesty.examination import Examination, audited, upper_half
from avsync.honesty.judge import RAISED_Z, alarm_of
from avsync.honesty.swap import donors, examine, examined, examined_rows
from avsync.models import MODELS, build_model
from avsync.models.parts import SyncNet, SyncOutput
from avsync.spec import InputSpec
from sharding.format.clip import Clock

SIDE, FRAMES, SAMPLES = 16, 4, 400
VIEW = View(height=SIDE, width=SIDE, crop_height=SIDE, crop_width=SIDE, out_height=SIDE, out_width=SIDE)
PAIR = Pair(0, (SoundWindow(0, 0, True), SoundWindow(2, 0, False)))


def planted(clips: int, first: int = 0, seed: int = 0, unread: tuple[int, ...] = ()) -> Batch:
    """Sound and picture tell the same number where they belong together; a marker in the sound tells the label, too.

    Samples 0 to 199 carry the clip's number, 200 to 399 the label; the picture's level is the number. One picture
    cannot tell two labels, so "picture alone" is planted by pairs of one sound: see `one_sound`.
    """
    rng = np.random.default_rng(seed + first)
    number = rng.integers(40, 200, clips)
    yuv = torch.full((clips, FRAMES, SIDE * 3 // 2, SIDE), 128, dtype=torch.uint8)
    yuv[:, :, :SIDE] = torch.from_numpy(number)[:, None, None, None]
    audio = torch.zeros(clips, 2, SAMPLES, 1, dtype=torch.int16)
    other = (number - 40 + 80) % 160 + 40
    for sound, values in enumerate((number, other)):
        audio[:, sound, :200, 0] = torch.from_numpy(values * 100)[:, None].short()
        audio[:, sound, 200:, 0] = 10_000 if sound == 0 else -10_000
    valid = [row not in unread for row in range(clips)]
    return Batch(
        keys=tuple(map(str, range(clips))), jsons=tuple(b"{}" if fine else None for fine in valid),
        draws=tuple(Draw(first + row, PAIR, 0, 0, False) for row in range(clips)), yuv=yuv, audio=audio,
        in_sync=torch.tensor([[1.0, 0.0]] * clips), matrix=torch.zeros(clips, dtype=torch.int64),
        valid=torch.tensor(valid),
    )  # fmt: skip


def one_sound(clips: int) -> Batch:
    """A law that gives each picture one label, and a mark in the picture that tells it: rows differ in both."""
    whole, label = planted(clips), torch.arange(clips) % 2
    audio = whole.audio[torch.arange(clips), 1 - label][:, None]
    yuv = whole.yuv.clone()
    yuv[:, :, 0] = (label * 200 + 20).to(torch.uint8)[:, None, None]
    fields = {name: getattr(whole, name) for name in ("keys", "jsons", "draws", "matrix", "valid")}
    return Batch(**fields, yuv=yuv, audio=audio, in_sync=label.float()[:, None])


class Level(nn.Module):
    """The picture as it is."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.mean(dim=1, keepdim=True)


class Sounds(nn.Module):
    """The clip's number and the marker."""

    def forward(self, sounds: Tensor) -> Tensor:
        return torch.stack((sounds[:, 0, :200].mean(1), sounds[:, 0, 200:].mean(1)), dim=1)[..., None]


class Rule(nn.Module):
    """A logit by hand of the picture's number and mark, the sound's number and mark; its map is the logit, everywhere.

    Marks are -1 to 1, numbers 40 to 200.
    """

    def __init__(self, rule: "RuleOf") -> None:
        super().__init__()
        self.rule = rule

    def forward(self, seen: Tensor, heard: Tensor) -> SyncOutput:
        number = (seen[:, 0, 0, 8, 8] + 1) * 219 / 2 + 16
        logit = self.rule(number, seen[:, 0, 0, 0, 0], heard[:, 0, 0] * 32768 / 100, heard[:, 1, 0])
        return SyncOutput(logit, logit[:, None, None, None].expand(-1, 2, 3, 3))


RuleOf = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
RULES: dict[str, RuleOf] = {
    "honest": lambda seen, seen_mark, heard, mark: 4 - (seen - heard).abs(),
    "hears the label": lambda seen, seen_mark, heard, mark: 10 * mark,
    "hears it under a doubt of the picture": lambda seen, seen_mark, heard, mark: (
        mark - (seen - heard).abs().clamp(max=9)
    ),
    "sees the label": lambda seen, seen_mark, heard, mark: 10 * seen_mark,
    "biased to yes": lambda seen, seen_mark, heard, mark: 3 + 0 * mark,
    "biased to no": lambda seen, seen_mark, heard, mark: 0 * mark - 3,
}


def network(rule: str) -> SyncNet:
    return SyncNet(Level(), Sounds(), Rule(RULES[rule])).eval()


def exam(rule: str, *batches: Batch) -> Examination:
    group = np.arange(10_000)
    got = examined(network(rule), batches or (planted(60), planted(60, 60)), VIEW, 0, group)
    return Examination.of(torch.cat([examined_rows(one) for one in got]), group)


def test_who_hears_the_label_is_right_without_the_picture_and_is_worth_nothing():
    got = exam("hears the label")
    assert (got.accuracy, got.with_another_picture().value, got.with_muted_sound().value) == (1, 1, 0.5)
    assert got.audited == 0.5
    alarm = alarm_of(7, got, None)
    assert alarm is not None
    assert (alarm.stream, alarm.since, alarm.step, alarm.accuracy) == ("sound", 7, 7, 1)


def test_who_looks_and_listens_is_at_chance_without_either_and_keeps_its_accuracy():
    got = exam("honest")
    assert got.accuracy == 1
    assert 0.4 < got.with_another_picture().value < 0.6
    assert got.with_muted_sound().value == 0.5
    assert alarm_of(7, got, None) is None
    assert got.audited is not None
    assert got.audited > 0.9


def test_a_cheat_that_says_no_to_every_wrong_picture_is_found_by_the_order_of_its_answers():
    got = exam("hears it under a doubt of the picture")
    assert ((got.other > 0) == got.got.in_sync).mean() < 0.56, "read at logit 0 it would look honest"
    assert got.with_another_picture(RAISED_Z).low > 0.5


def test_who_sees_the_label_is_right_without_the_sound():
    got = exam("sees the label", one_sound(60))
    assert (got.accuracy, got.with_muted_sound().value) == (1, 1)
    assert got.audited == 0.5
    alarm = alarm_of(7, got, None)
    assert alarm is not None
    assert alarm.stream == "picture"


@pytest.mark.parametrize("rule", ["biased to yes", "biased to no"])
def test_who_always_says_the_same_is_no_cheat(rule):
    got = exam(rule)
    assert (got.accuracy, got.with_another_picture().value, got.with_muted_sound().value) == (0.5, 0.5, 0.5)
    assert got.audited == 0.5
    assert alarm_of(7, got, None) is None


def test_a_clip_that_could_not_be_read_lends_no_picture_and_counts_for_nothing():
    batch = planted(8, unread=(0, 5))
    got = exam("hears the label", batch)
    assert sorted(set(got.got.clip.tolist())) == [1, 2, 3, 4, 6, 7]
    assert np.isfinite(got.other).all()


def test_a_batch_with_one_clip_cannot_be_asked_and_says_nothing_of_the_sound():
    got = exam("hears the label", planted(1))
    assert got.with_another_picture().count == 0
    assert (got.accuracy, got.audited) == (1, None), "what was not asked is not called honest"
    assert alarm_of(7, got, None) is None
    assert got.maps is not None
    assert len(got.maps.clip) == 1, "its map can still be asked with silence"


@pytest.mark.parametrize("seed", range(50))
def test_every_picture_comes_from_another_source_and_is_lent_once(seed):
    rng = np.random.default_rng(seed)
    sources = rng.integers(-1, rng.integers(1, 6), rng.integers(1, 20)).tolist()
    found = donors(sources)
    lent = [donor for donor in found if donor >= 0]
    assert len(set(lent)) == len(lent)
    for source, donor in zip(sources, found, strict=True):
        assert donor < 0 or (source >= 0 and sources[donor] >= 0 and sources[donor] != source)
    counted = [source for source in sources if source >= 0]
    most = max(map(counted.count, counted), default=0)
    if 2 * most <= len(counted):
        assert len(lent) == len(counted), "nobody goes without"


@pytest.mark.parametrize("clips", [1, 7, 16, 120])
def test_mixed_batches_have_another_picture_for_every_row_however_many_clips_a_source_has(clips: int) -> None:
    source = np.repeat(np.arange(30), clips).tolist()
    rows = mixed(source, 16)
    assert sorted(rows) == source
    assert all(donor >= 0 for first in range(0, len(rows), 16) for donor in donors(rows[first : first + 16]))


def test_the_upper_half_is_a_half_and_equal_answers_stay_together():
    assert upper_half(np.array([3.0, 1, 2, 0])).tolist() == [True, False, True, False]
    assert upper_half(np.array([8.0, 8, 8, -8, -8])).tolist() == [True, True, True, False, False]
    assert not upper_half(np.ones(4)).any() or upper_half(np.ones(4)).all()
    assert upper_half(np.array([])).tolist() == []


@pytest.mark.parametrize(
    ("accuracy", "sound", "picture", "left"),
    [
        (0.9, 0.5, 0.5, 0.9), (0.9, 0.4, 0.3, 0.9), (0.9, 0.7, 0.5, 0.7), (0.9, 0.6, 0.7, 0.7), (0.95, 0.95, 0.5, 0.5),
        (0.8, 0.9, 0.5, 0.5), (0.45, 0.5, 0.5, 0.45), (0.45, 0.8, 0.5, 0.45), (0.9, float("nan"), 0.5, 0.9),
    ],
)  # fmt: skip
def test_audited_accuracy_is_what_one_stream_alone_does_not_explain(accuracy, sound, picture, left):
    assert audited(accuracy, sound, picture) == pytest.approx(left)


CLOCK = Clock(fps=Fraction(30), sample_rate=44100)
THESIS = InputSpec(frames=97, height=186, width=186, samples=142_590, channels=1, clock=CLOCK)
"""It pads nothing: its kernels need that much."""
SMALL = InputSpec(frames=16, height=32, width=32, samples=23_520, channels=1, clock=CLOCK)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_answers_true_pairs_as_ever_and_trick_questions_as_if_asked_one_by_one(name):
    torch.manual_seed(0)
    spec = THESIS if name == "thesis" else SMALL
    model = build_model(name, spec).eval()
    clips = 2 if name == "thesis" else 3
    frames = torch.rand(clips, 3, spec.frames, spec.height, spec.width) * 2 - 1
    sounds = torch.rand(clips, 2, 1, spec.samples) * 2 - 1
    batch = planted(clips)
    with torch.no_grad():
        plain = model(frames, sounds)
        seen, heard = model.video(frames), model.audio(sounds.flatten(0, 1))
        assert torch.equal(model.fuse(seen, heard).logit, plain.logit)
        got = examine(model, batch, NetworkInput(frames, sounds), donors(range(clips)))
        other = model(frames.roll(-1, 0), sounds)
        muted = model(frames, torch.zeros_like(sounds))
    assert torch.equal(got.answer.output.logit, plain.logit)
    assert torch.equal(got.answer.output.cam, plain.cam)
    torch.testing.assert_close(got.other, other.logit, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(got.muted, muted.logit, rtol=1e-3, atol=1e-4)


def test_frames_are_laid_out_as_the_network_likes_them():
    laid = list[Tensor]()

    def lay(frames: Tensor) -> Tensor:
        laid.append(frames)
        return frames

    batch = planted(4)
    list(examined(network("honest"), [batch], VIEW, 0, np.arange(4), lay))
    assert torch.equal(laid[0], prepare(batch, VIEW).frames)
