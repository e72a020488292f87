"""Hundreds of damaged and lying files neither crash, hang, fill the memory nor write where they should not."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sharding.base.files import read_json
from sharding.errors import RejectReason
from sharding.format.records import ShardRecord
from sharding.media.probe import probe
from tests.media import write_video
from tests.sharding.hostile import ORIGINALS, TEXTS, write_hostile
from tests.sharding.hostile_streams import ts_lies

MEMORY = 2 * 2**30
PROGRAM = """
import json, resource, sys
from pathlib import Path
from rich.console import Console
from sharding.config import PackConfig
from sharding.pack.pack import pack
config = PackConfig(size=32, workers=2, stop_after=0, limit_s=20, memory_gb=2)
summary = pack(Path(sys.argv[1]), Path(sys.argv[2]), config, Console(quiet=True))
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"sources": summary.sources, "peak": peak}))
"""
"""In its own process: the memory of its workers is told apart from that of other tests."""


def test_damage_is_the_same_in_every_run(tmp_path: Path):
    first, second = (write_hostile(tmp_path / name, tmp_path / "whole") for name in "ab")
    assert len(first) >= 300
    assert [path.name for path in first] == [path.name for path in second]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))


def test_streams_that_turn_up_in_the_middle_do_not_end_the_work(tmp_path: Path):
    whole = write_video(tmp_path / "whole.ts", ORIGINALS["ts"])
    lying = dict(ts_lies(whole.read_bytes(), random.Random("ts")))["packets of other streams"]
    (tmp_path / "lying.ts").write_bytes(lying)
    assert probe(whole).video.packets >= probe(tmp_path / "lying.ts").video.packets > 10


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_hostile_file_is_packed_or_gets_a_reason_and_whole_ones_are_packed(tmp_path: Path):
    videos, dataset, here, temporary = (tmp_path / name for name in ("in", "out", "here", "temporary"))
    hostile = {f"hostile/{path.name}" for path in write_hostile(videos / "hostile", videos / "whole")}
    whole = {f"whole/whole.{suffix}" for suffix in ORIGINALS}
    here.mkdir()
    temporary.mkdir()
    before = listing(tmp_path)
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, videos, dataset], cwd=here, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    told = json.loads(run.stdout)
    assert told["sources"] == len(hostile | whole)
    assert told["peak"] < MEMORY

    with (dataset / "rejects.csv").open(newline="") as file:
        rejects = {row["path"]: row for row in csv.DictReader(file)}
    packed = {
        source.source
        for side in dataset.glob("*/*.json")
        for source in read_json(side, ShardRecord).sources
        if source.clips
    }
    assert packed | rejects.keys() == hostile | whole
    assert not packed & rejects.keys()
    assert packed >= whole
    assert rejects.keys() >= {f"hostile/{name}" for name in TEXTS}
    assert len(packed) > 100, "the damage should be survivable here and there"
    assert len(rejects) > 100
    for name, row in rejects.items():
        assert row["reason"] in set(RejectReason), name
        assert row["reason"] != RejectReason.DUPLICATE, name
        assert row["detail"], name
    after = {path for path in listing(tmp_path) if path.parts[0] != dataset.name}
    assert after == before


def listing(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}
