"""What would keep a training from learning: all that can be found in three minutes, before it begins."""

from dataclasses import dataclass, replace
from fractions import Fraction

from avsync.check.by_heart import STEPS, learn_by_heart
from avsync.check.loudness import CLIPS, FitCurve, ProbedClips, fit_curve
from avsync.check.mouths import LipOffset, lip_offset
from avsync.config import PairConfig, TrainConfig
from avsync.loading.feed import Feed
from avsync.loading.options import LoaderOptions
from avsync.run.diagnosis import LearningCause
from avsync.run.network import check_network, pick_device
from avsync.staging.mirror import StagedDataset
from avsync.world import World
from sharding.base.console import Bar, open_console
from sharding.base.text import counted, percent
from sharding.errors import AvsyncError

BY_HEART_S = 100.0
"""Most that the learning by heart takes."""
MANY = 0.1
"""Of the clips: so many silent or still ones are said."""
OFF_S, OFF_FRAMES = 0.1, 2
"""An offset beyond both of these is said: what comes nearer may be how far a microphone stood."""
OFFSET = "constant offset"
POWER, NOTHING = 0.032, 3.0
"""That nothing fits says something where luck is smaller than the first, and the best fit within so many times luck:
scenes whose events are hard to see fit at 0.09."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What was found."""

    findings: list[LearningCause]
    notes: list[str]
    """What is worth knowing, and no cause."""


def check(dataset: str, config: TrainConfig) -> Checked:
    """Look, and print what was found. Nothing is written.

    Raises InputError for settings that cannot work, FormatError for damaged data.
    """
    world = World.alone(pick_device(config.runtime.device))
    source = StagedDataset.open(dataset, config.runtime)
    feed = Feed.of(source, "train", config.pairs, config.view)
    check_network(config.model, config, feed)
    options = LoaderOptions.of(config.runtime, world, bool)
    with Bar("looking at clips", min(CLIPS, len(feed.clips)), unit="share", passing=True) as bar:
        clips = ProbedClips.of(feed, options, bar.advance)
    found = judge_clips(clips, config.pairs)
    if lips := lip_offset(feed, source, config, world):
        found = with_lips(found, lips, feed.dataset.info.clock.fps)
    with Bar("learning 8 clips by heart", STEPS, unit="share", passing=True) as bar:
        heart = learn_by_heart(feed, config, world, BY_HEART_S, bar.advance)
    findings = found.findings + ([heart.finding] if heart.finding else [])
    checked = Checked(findings=findings, notes=[*found.notes, heart.note])
    _report(checked)
    return checked


def refuse(checked: Checked) -> None:
    """Raises AvsyncError when something was found."""
    if checked.findings:
        causes = ", ".join(finding.cause for finding in checked.findings)
        raise AvsyncError(
            f"{counted(len(checked.findings), 'cause')} found ({causes}): each line above says what to do"
        )


def _report(checked: Checked) -> None:
    console = open_console()
    for note in checked.notes:
        console.print(note, soft_wrap=True)
    for finding in checked.findings:
        console.print(str(finding), style="yellow", soft_wrap=True)


def judge_clips(clips: ProbedClips, pairs: PairConfig) -> Checked:
    """What the clips alone say: silent, still, dubbed, off by a constant, or events wider than the pairs."""
    findings, notes = list[LearningCause](), list[str]()
    for what, share, remedy in (
        ("silent", float(clips.silent.mean()), "their sound is missing or muted"),
        ("still", float(clips.still.mean()), "their picture does not move"),
    ):
        if share >= MANY:
            line = (
                f"{percent(share)} of {counted(len(clips.silent), 'clip')} are {what}: {remedy}, and no pair of them "
                "can be learned; leave their videos out of the table, and pack again"
            )
            findings.append(LearningCause(f"{what} clips", line))
    fps = float(clips.fps)
    if pairs.min_shift_s * fps < 1:
        findings.append(_too_near(pairs, 1 / fps, f"a picture of this dataset stands for {1000 / fps:.0f} ms"))
    curve = fit_curve(clips)
    if curve is None:
        notes.append("too few clips, or too short ones, to see whether sound and picture belong together")
        return Checked(findings=findings, notes=notes)
    if not curve.clear:
        nothing = (
            f"in {counted(curve.clips, 'clip')} no offset from {curve.offsets[0] / fps * 1000:+.0f} to "
            f"{curve.offsets[-1] / fps * 1000:+.0f} ms lets pictures tell how loud the sound is"
        )
        if curve.luck < POWER and curve.fit.max() < NOTHING * curve.luck:
            remedy = "they are dubbed, or paired with other sounds: listen to some with avsync show DATASET --page"
            findings.append(LearningCause("sound of other pictures", f"{nothing}: {remedy}"))
        else:
            remedy = "listen to some clips, or have avsync curate look at the videos"
            notes.append(f"{nothing}; it may be too fine to be seen like this, or dubbed: {remedy}")
        return Checked(findings=findings, notes=notes)
    notes.append(
        f"sound and picture belong together: best at {curve.offset_s * 1000:+.0f} ms, correlation "
        f"{curve.fit.max():.2f} (by luck {curve.luck:.2f}), {curve.width_s * 1000:.0f} ms wide"
    )
    if finding := _constant_offset(curve):
        findings.append(finding)
    seen = f"what is heard and seen fits over {curve.width_s * 1000:.0f} ms"
    if pairs.max_shift_s < curve.width_s:
        findings.append(_too_near(pairs, 2 * curve.width_s, seen))
    if pairs.window_s < curve.width_s:
        line = f"{seen}, --pairs.window-s {pairs.window_s:g} shows less: give at least {2 * curve.width_s:.2f}"
        findings.append(LearningCause("window too short", line))
    return Checked(findings=findings, notes=notes)


def with_lips(found: Checked, lips: LipOffset, fps: Fraction) -> Checked:
    """And what the network of faces sees: it goes before the guess of the loudness, and sees far smaller offsets."""
    line = f"lips and sound: the sound is {lips.words}, as the network of faces sees it"
    if abs(lips.offset_s) * float(fps) < 0.5:
        return replace(found, notes=[*found.notes, line])
    remedy = (
        "every label is off by that: avsync curate VIDEOS TABLE finds it for each video of 2 s or more, and avsync "
        "pack TABLE moves the sound"
    )
    if abs(lips.offset_s) <= OFF_S:
        return replace(found, notes=[*found.notes, f"{line}; {remedy}"])
    others = [finding for finding in found.findings if finding.cause != OFFSET]
    return replace(found, findings=[*others, LearningCause(OFFSET, f"{line}: {remedy}")])


def _too_near(pairs: PairConfig, enough: float, seen: str) -> LearningCause:
    line = (
        f"{seen}, so sounds {pairs.min_shift_s:g} to {pairs.max_shift_s:g} s off can hardly be told from those in "
        f"sync: give --pairs.min-shift-s {enough:.2f} at least, and a larger --pairs.max-shift-s"
    )
    return LearningCause("shifts too small", line)


def _constant_offset(curve: FitCurve) -> LearningCause | None:
    """The best offset is not 0, and is clearly better."""
    fps = float(curve.fps)
    least = max(OFF_S, OFF_FRAMES / fps)
    here = float(curve.fit[abs(curve.offsets) <= 1].max())
    if abs(curve.offset_s) <= least + 1e-9 or curve.fit.max() - here < 2 * curve.luck:
        return None
    side = "late" if curve.offset_s > 0 else "early"
    line = (
        f"the sound of the whole dataset comes about {abs(curve.offset_s) * 1000:.0f} ms {side} (a picture is "
        f"{1000 / fps:.0f} ms; correlation {curve.fit.max():.2f} there, {here:.2f} in sync): every label is off by "
        "that; move it in the videos (ffmpeg -itsoffset) and pack again"
    )
    return LearningCause(OFFSET, line)
