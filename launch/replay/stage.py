"""A replay on one dataset: labels audited, networks trained and asked, figures drawn. What stands is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from avsync.config import PairsName
from avsync.run.paths import RunPaths
from launch.commands.flags import flags_of, typed
from launch.replay.recipe import MUTED_S, ReplayArm, ReplayRecipe
from sharding.base.files import publish, read_json, write_json
from sharding.base.guarded import make_folder

if TYPE_CHECKING:
    from avsync.audit.result import AuditResult
    from avsync.replay.heat import Shown
    from avsync.replay.result import Asked, ReplayArmResult, StageResult, Which

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StagePaths:
    """FOLDER/STAGE: its videos (of scenes), dataset, runs/ARM, answers and figures."""

    root: Path

    @property
    def videos(self) -> Path:
        return self.root / "videos"

    @property
    def dataset(self) -> Path:
        return self.root / "dataset"

    def run(self, arm: str) -> Path:
        return self.root / "runs" / arm

    def answers(self, name: str) -> Path:
        return self.root / "answers" / f"{name}.json"

    def figure(self, name: str) -> Path:
        return self.root / f"{name}.png"


FIGURES = ("curves", "maps", "join")
"""FOLDER/STAGE/NAME.png"""


def play(paths: StagePaths, title: str, recipe: ReplayRecipe, say: Say) -> "StageResult":
    """Audit, train, ask and draw. Raises what its steps raise; the same call goes on where it was stopped."""
    from avsync.replay.result import StageResult
    from sharding.format.index import read_info

    make_folder(paths.answers("").parent)
    audits = tuple(_audit(paths, recipe, law, say) for law in recipe.audited)
    for arm in recipe.arms:
        _train(paths, recipe, arm, say)
    say("the networks are asked about clips that they never saw, and figures drawn")
    arms = tuple(_result(paths, arm) for arm in recipe.arms)
    _draw(paths, recipe)
    return StageResult(
        name=paths.root.name,
        told=title,
        clips=dict(read_info(paths.dataset).clips),
        steps=recipe.train.steps,
        audits=audits,
        arms=arms,
    )


def _audit(paths: StagePaths, recipe: ReplayRecipe, law: PairsName, say: Say) -> "AuditResult":
    from avsync.audit.audit import Written, audit
    from avsync.audit.result import AuditResult

    pairs = recipe.pairs_of(law)
    config = replace(recipe.audit, pairs=pairs)
    flags = [word.replace("--", "--pairs.") for word in flags_of(pairs)]
    command = typed("audit", paths.dataset, *flags)
    found, page = paths.answers(f"audit-{law}"), paths.root / f"audit-{law}.html"
    if not (page.is_file() and found.is_file() and read_json(found, AuditResult).config == config):
        say(f"{command}: can a network cheat on these labels?")
        audit(paths.dataset, config, Written(page=page, json=found), command)
    return read_json(found, AuditResult)


def _train(paths: StagePaths, recipe: ReplayRecipe, arm: ReplayArm, say: Say) -> None:
    from avsync.replay.runs import fork
    from avsync.train.trainer import train

    run, config = paths.run(arm.name), recipe.config_of(arm)
    say(f"avsync train {paths.dataset} {run}: {arm.title}")
    if arm.honest_steps:
        fork(paths.run("symmetric"), arm.honest_steps, run, paths.dataset, config)
    train(paths.dataset, run, config)


def _result(paths: StagePaths, arm: ReplayArm) -> "ReplayArmResult":
    from avsync.replay.result import ReplayArmResult
    from avsync.replay.runs import read_curves

    curves = read_curves(paths.run(arm.name))
    last = _asked(paths, arm.name, "last", RunPaths(paths.run(arm.name)).saved_steps()[0])
    turned = arm.honest_steps and curves.best is not None and curves.best.step != last.step
    return ReplayArmResult(
        name=arm.name,
        title=arm.title,
        law=arm.law,
        cheats=curves.alarm is not None,
        alarm=curves.alarm,
        best=curves.best,
        last=last,
        kept=_asked(paths, arm.name, "best", curves.best.step) if turned and curves.best else None,
    )


def _asked(paths: StagePaths, arm: str, which: "Which", step: int) -> "Asked":
    """What a network answered before, if it was the one of `step`; else it is asked."""
    from avsync.replay.answers import ask
    from avsync.replay.result import Asked

    path = paths.answers(f"{arm}-{which}")
    if not path.is_file() or read_json(path, Asked).step != step:
        write_json(path, ask(paths.run(arm), paths.dataset, which))
    return read_json(path, Asked)


def _stands(paths: StagePaths, figure: str) -> bool:
    """It was drawn after the last answer: what it shows is of the same networks."""
    drawn, answers = paths.figure(figure), paths.answers("").parent.glob("*.json")
    return drawn.is_file() and all(answer.stat().st_mtime <= drawn.stat().st_mtime for answer in answers)


def _draw(paths: StagePaths, recipe: ReplayRecipe) -> None:
    from avsync.replay.figures import curves_figure, join_figure, maps_figure
    from avsync.replay.heat import around_join
    from avsync.replay.runs import read_curves

    def write(name: str, png: bytes) -> None:
        with publish(paths.figure(name)) as file:
            file.write(png)

    write("curves", curves_figure([(arm.title, read_curves(paths.run(arm.name))) for arm in recipe.arms]))
    if not _stands(paths, "maps"):
        write("maps", maps_figure([row for arm in recipe.arms for row in _maps(paths, arm)]))
    if not _stands(paths, "join"):
        cyclic = recipe.pairs_of("cyclic")
        heats = [(arm.title, around_join(paths.run(arm.name), paths.dataset, cyclic)) for arm in recipe.arms]
        joined = next((one for _, (_, one) in heats if one), None)
        if joined:
            write("join", join_figure(joined, [(title, heat) for title, (heat, _) in heats], float(MUTED_S)))


def _maps(paths: StagePaths, arm: ReplayArm) -> list[tuple[str, "list[Shown]"]]:
    """Rows of the sheet: the last network; of one that began honestly, its best one, too."""
    from avsync.replay.heat import shown_maps

    kinds: tuple[tuple[Which, str], ...] = (("last", ""),)
    if arm.honest_steps:
        kinds = (("best", ": kept as best"), ("last", ": at the end"))
    return [(arm.title + when, shown_maps(paths.run(arm.name), paths.dataset, which)) for which, when in kinds]
