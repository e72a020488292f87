"""A rank that hangs is named, with what it was at, and ended; whoever waits for it, or is slow, is not."""

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from avsync.run.limits import WITH_OTHERS, Learnt, Limits, Section, read_hangs
from avsync.run.paths import RunPaths
from sharding.base.files import write_json

FLOOR_S = 1.0
CHILD = """
import ctypes, os, signal, sys, time
from pathlib import Path
from avsync.run.limits import LimitRule, Section
from avsync.run.paths import RunPaths
from avsync.train.sections import SectionWatch

NODES = ("n1", "n2", "n3")


def rank(folder, number, section, how):
    '''One rank of three, with 30 healthy steps behind it.'''
    os.dup2(os.open(folder / f"{number}.txt", os.O_WRONLY | os.O_CREAT), 2)
    watch = SectionWatch(rank=number, nodes=NODES, rule=LimitRule(floor_s=FLOOR_S))
    with watch:
        watch.start(RunPaths(folder), "here", 1)
        for step in range(30):
            watch.at(step)
            with watch.section(Section.STEP), watch.section(Section.DATA):
                watch.again(f"/data/{step:06d}.tar")
        with watch.section(Section.STEP), watch.section(Section(section)):
            if how == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            elif how == "gone":
                os.kill(watch._sentry.pid, signal.SIGSTOP)
                os.kill(os.getpid(), signal.SIGSTOP)
            elif how == "locked":
                ctypes.PyDLL(None).sleep(60)
            else:
                os.read(os.pipe()[0], 1)


ranks, gone = [], []
for line in sys.stdin.read().splitlines():
    folder, number, section, how = line.split("|")
    if not (pid := os.fork()):
        rank(Path(folder), int(number), section, how)
        os._exit(0)
    (gone if how == "gone" else ranks).append(pid)
for pid in ranks:
    os.waitpid(pid, 0)
for pid in gone:  # nobody is left who could end it
    for number in (*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()), pid):
        os.kill(number, signal.SIGKILL)
""".replace("FLOOR_S", str(FLOOR_S))
OWN = [section for section in Section if section not in (Section.NONE, *WITH_OTHERS)]
LEARNT = Limits(on="here", sections={section: Learnt(1000, 0.01) for section in Section if section is not Section.NONE})
TROUBLE = {
    "every rank waits": ("others", "others", "others"),
    "one is behind": ("others", "gradients", "others"),
    "one is gone with its node": ("others", "gone", "others"),
}
"""By what is wrong: what each of three ranks is at."""


def of_ranks(places: tuple[str, ...], folder: Path) -> list[str]:
    said = {"others": f"{Section.OTHERS}|blocked", "gradients": f"{Section.GRADIENTS}|blocked"}
    said["gone"] = f"{Section.STEP}|gone"
    return [f"{folder}|{rank}|{said[place]}" for rank, place in enumerate(places)]


def named(folder: Path, rank: int) -> str:
    return (folder / f"{rank}.txt").read_text()


@pytest.mark.timeout(300)
def test_a_rank_that_hangs_is_named_with_its_section_its_node_and_its_shard_and_ended(tmp_path: Path) -> None:
    """Really stopped, really blocked, and blocked with Python's lock in its hand, in each section."""
    lines = list[str]()
    alone = {
        (section, how): tmp_path / f"{section.name}-{how}"
        for section, how in product(Section, ("stopped", "blocked", "locked"))
        if section is not Section.NONE and (section in OWN or how == "stopped")
    }
    for (section, how), folder in alone.items():
        lines.append(f"{folder}|1|{section}|{how}")
    for what, places in TROUBLE.items():
        lines += of_ranks(places, tmp_path / what)
    for folder in (*alone.values(), *(tmp_path / what for what in TROUBLE)):
        folder.mkdir()
        write_json(RunPaths(folder).limits, LEARNT)
    subprocess.run([sys.executable, "-c", CHILD], input="\n".join(lines), text=True, timeout=250, check=True)
    for (section, how), folder in alone.items():
        said = named(folder, 1)
        assert said.count("\n") == 1, f"{section}, {how}: {said!r}"
        assert said.startswith(f"avsync: error: rank 1 on n2 hangs in its {section} of step 29: "), (section, how)
        assert "/data/000029.tar" in said
        assert ("stopped by a signal" in said) == (how == "stopped"), said
        (noted,) = read_hangs(RunPaths(folder))
        assert (noted.rank, noted.node, noted.section, noted.step) == (1, "n2", section, 29)
        assert noted.limit_s == FLOOR_S
        assert noted.seconds < FLOOR_S + 5, "within its limit, the sentry's beat, and a busy machine"
    together = {what: "".join(named(tmp_path / what, rank) for rank in range(3)) for what in TROUBLE}
    for what, said in together.items():
        assert said.count("\n") == 1, f"{what}: one speaks for all: {said!r}"
    assert "rank 0 on n1 hangs in its wait for the other ranks" in together["every rank waits"]
    assert "network between n1, n2, n3" in together["every rank waits"]
    assert "rank 1 on n2 hangs in its gradients of step 29: behind all others" in together["one is behind"]
    assert "rank 1 on n2 hangs in its step of step 29: no word of it" in together["one is gone with its node"]
