"""What README and docs show in shell blocks works, line after line, as it stands.

Each document is typed in a folder of its own, which holds what its words name: VIDEOS, VIDEO, FILES, k700.csv, and
where a document begins later, DATASET and RUN as README leaves them. Flags that make it quick are added (QUICK); what
cannot run here is listed with the reason (LEFT_OUT).
"""

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from accelerate.state import AcceleratorState, GradientState, PartialState
from numpy.typing import NDArray

from avsync.loading.spawner import spawner_of
from launch.cli import DONE, main
from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import generate
from sharding.sources.source import split_of
from tests.avsync.slow_server import SlowServer
from tests.drawn_faces import Head, draw_heads
from tests.media import Video, write_video

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PERCENT = 25
PACKED = f"--fps 10 --size 48 --sample-rate 8000 --val-percent {PERCENT} --test-percent {PERCENT} --workers 1"
QUICK = {
    "pack": PACKED,
    "train": "--steps 10 --batch 2 --view.size 32 --validate-every 10 --validate-clips 4 --optim.warmup-steps 1",
    "evaluate": "--pairs-per-clip 1 --batch 4",
    "finetune": "--steps 2 --batch 4 --validate-every 2 --test-windows 1 --optim.warmup-steps 1",
    "score": "--hop-s 4 --reach-s 1",
    "curate": "--hop-s 4 --reach-s 1 --workers 1",
    "submit": "--dry-run",
}
"""Command -> flags that make it small; of submit those that queue nothing."""
KEPT = ("--fps",)
"""What a document names stays, since what it shows next is set for it."""
WORDS = {"/local/scratch": "scratch", "NAME": "test", "OTHERS": "VIDEOS"}
"""What a reader replaces by a name of their own, and we do; https://host becomes a server of this machine."""
LEFT_OUT = {
    r"('\(echo' .*|avsync pack (FOLDER/)?videos.csv DATASET)": "tests/sharding/pack/test_neighbours.py",
    r"make .*": "a target of the Makefile: tests/test_docs.py looks whether it exists",
    r"pip install .*": "needs a package index: tests/test_docs.py looks what extras there are",
    r".*torch.distributed.run .*": "several processes: tests/avsync/run/test_resume_ranks.py",
    r"(salloc|srun) .*": "an allocation of SLURM: tests/slurm/test_survive_training.py",
    r".*avsync doctor .*": "needs a cluster: tests/slurm/test_doctor.py",
    r".*avsync (status|logs|cancel|resubmit) RUN.*": "needs a job: tests/slurm/test_submit.py",
    r".*avsync board .*": "stays until it is stopped: tests/launch/watch/test_board.py",
    r".*avsync replay.*": "twenty minutes: tests/launch/replay/test_replay.py",
    r".*avsync audit .*": "trains networks, and may fail as it says: tests/avsync/audit/test_audit.py",
    r".*avsync pack curated.csv .*": "keeps what a network is sure of: tests/sharding/pack/test_pack_curated.py",
    r".*avsync advise .*": "measures for a minute: tests/sharding/advise/test_advise.py",
    r".*avsync train .* --preset thesis": "the network is large: tests/avsync/models/test_models.py",
}
"""Of lines that are not run the pattern -> why, and which test runs the like."""


def lines_of(document: Path) -> list[str]:
    """The lines of its shell blocks, without comments, in order."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = (line for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [shlex.join(words) for line in lines if (words := shlex.split(line, comments=True))]


OF_FACES = ("curate.md", "faces.md")
"""Documents whose VIDEOS and VIDEO show people who talk."""
DOCUMENTS = [path for path in (README, *sorted((ROOT / "docs").glob("*.md"))) if lines_of(path)]


def left_out(line: str) -> str:
    return next((why for pattern, why in LEFT_OUT.items() if re.fullmatch(pattern, line)), "")


def quickened(line: str, site: str) -> list[str]:
    """The line's words with those of this machine, and with the flags that make it quick in place of its own."""
    words = [WORDS.get(word, word).replace("https://host", site) for word in shlex.split(line)]
    if not words[0].endswith("avsync"):
        return words
    if words[1:3] == ["submit", "pack"]:  # as what is there was packed
        words[5:5] = shlex.split(PACKED)
    if words[1] == "submit" and "train" in words:  # which must fit to that
        after = words.index("train") + 3
        words[after:after] = ["--batch", "4"]
    extra = shlex.split(QUICK.get(words[1], ""))
    for flag in [word for word in extra if word.startswith("--") and word in words]:
        own, ours = words.index(flag), extra.index(flag)
        if flag in KEPT or (flag != "--dry-run" and float(words[own + 1]) <= float(extra[ours + 1])):
            del extra[ours : ours + 2]
        else:
            del words[own : own + (1 if flag == "--dry-run" else 2)]
    return words + extra


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who types what a document shows."""

    folder: Path
    site: str

    def types(self, document: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(self.folder)
        for line in lines_of(document):
            if left_out(line):
                continue
            words = quickened(line, self.site)
            if words[0] == "cp":
                shutil.copy(ROOT / words[1], words[2])
                continue
            assert words[0] in ("avsync", ".venv/bin/avsync"), f"{document.name}: {line}: nobody knows how to run this"
            for state in (AcceleratorState, PartialState, GradientState):
                state._reset_state()
            code = main(words[1:])
            said = "".join(capsys.readouterr())
            assert code == DONE, f"{document.name}: {line}\n(as {shlex.join(words)}) ended with {code}:\n{said}"
            assert "Traceback" not in said
            if words[1] in ("train", "finetune"):
                opening = re.search(r"1 process.* the CPU|on the CPU .*1 process", said)
                assert (opening and "log: " in said) or "steps are done already" in said, said


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has before the first command."""
    folder = tmp_path_factory.mktemp("desk")
    scenes = folder.parent / "scenes"
    generate(scenes, SceneConfig(count=10, seconds=7, size=48, fps=10, sample_rate=8000, workers=1))
    videos = list[Path]()
    for number, scene in enumerate(sorted(scenes.rglob("*.mp4"))):
        action, wanted = ("bell", "drum")[number % 2], ("train", "train", "train", "val", "test")[number // 2]
        names = (f"{action}/{number}-{take}.mp4" for take in count())
        videos.append(folder / "VIDEOS" / next(name for name in names if split_of(name, PERCENT, PERCENT) == wanted))
        videos[-1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scene, videos[-1])
    shutil.copy(videos[0], folder / "VIDEO")
    (folder / "FILES").mkdir()
    rows = ["label,youtube_id,time_start,time_end,split"]
    handful = ["path,action,split"]
    for number, video in enumerate(videos[:6]):
        name = f"abcdefghij{number}"
        shutil.copy(video, folder / "FILES" / f"{name}.mp4")
        rows.append(f"bell,{name},0,7,{('train', 'validate', 'test')[number % 3]}")
        handful.append(f"{video.relative_to(folder)},a{number},train")
    (folder / "k700.csv").write_text("\n".join(rows) + "\n")
    (folder / "HANDFUL.csv").write_text("\n".join(handful) + "\n")
    return folder


@pytest.fixture(scope="module")
def site(desk: Path) -> Iterator[str]:
    """A server whose /data is the DATASET that the reader of README has made."""
    folder = desk.parent / "site"
    folder.mkdir()
    (folder / "data").symlink_to(desk.parent / README.stem / "DATASET")
    with SlowServer(folder) as server:
        yield server.url.rstrip("/")


@pytest.fixture
def fresh_spawner() -> Iterator[None]:
    """Who starts the loader's workers, and the workers, stand in the folder that they were first called from."""
    yield
    spawner_of(os.getpid()).close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_shown_works_line_after_line(
    desk: Path,
    site: str,
    fresh_spawner: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no SLURM
    before = desk.parent / README.stem
    for document in DOCUMENTS:  # one test: those behind README go on with what its commands have made
        folder = desk.parent / document.stem
        shutil.copytree(desk, folder)
        if document.name in OF_FACES:
            show_heads(folder)
        for name in names_of_before(document) if document != README else ():
            shutil.copytree(before / name, folder / name)
        spawner_of(os.getpid()).close()
        Reader(folder, site).types(document, capsys, monkeypatch)


def show_heads(folder: Path) -> None:
    """Its videos keep their names, and show a head that talks, each in another room."""

    @cache
    def drawn(number: int, quarters: int) -> NDArray[np.uint8]:
        return draw_heads(160, 160, [Head(80, 70, 50, quarters / 4)], (70, 90, 60 + 15 * number))

    for number, video in enumerate([folder / "VIDEO", *sorted((folder / "VIDEOS").rglob("*.mp4"))]):
        talk = Video(
            seconds=Fraction(7), fps=Fraction(25), events=tuple(Fraction(half, 2) for half in range(1, 14)),
            width=160, height=160, seed=number, drawn=lambda time, number=number: drawn(number, int(12 * time) % 5),
        )  # fmt: skip
        video.unlink()
        write_video(folder / "talk.mp4", talk).rename(video)


def names_of_before(document: Path) -> list[str]:
    """What a document begins with, as README leaves it: it is not made by the first line that names it."""
    found = list[str]()
    for name, maker in (("DATASET", "avsync pack "), ("RUN", " train ")):
        first = next((line for line in lines_of(document) if name in line.split() and not left_out(line)), "")
        found += [name] if first and maker not in first else []
    return found


def test_each_line_that_is_left_out_is_there_and_says_which_test_runs_the_like() -> None:
    shown = [line for document in DOCUMENTS for line in lines_of(document)]
    for pattern, why in LEFT_OUT.items():
        assert any(re.fullmatch(pattern, line) for line in shown), f"no document shows {pattern} any more"
        named = re.findall(r"tests/\S+\.py", why)
        assert named, why
        assert all((ROOT / name).is_file() for name in named), why
