"""A process may end between any two changes of the disk, while a dataset grows, shrinks, changes; and files may go."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from sharding.config import PackOptions
from sharding.errors import InputError
from sharding.format.index import read_info
from sharding.pack.pack import pack
from tests.media import Video, write_video
from tests.sharding.conftest import QUIET, SMALL, contents

CONFIG = replace(SMALL, val_percent=30, test_percent=0)
CRASHES = """
import os, shutil, sys
from pathlib import Path
from sharding.config import PackConfig
from tests.sharding.conftest import QUIET, InProcess, contents
import sharding.pack.pool
from sharding.config import PackOptions
from sharding.pack.pack import pack
videos, before, work = map(Path, sys.argv[1:4])
config = PackConfig(size=32, sources_per_shard=2, workers=1, val_percent=30, test_percent=0)
sharding.pack.pool.Workers = InProcess

def crash_at(moment):
    # Ends this process, as kill -9 would, just before the change number `moment` of the disk.
    count = 0
    def wrapped(real):
        def call(*arguments, **named):
            nonlocal count
            count += 1
            if count == moment:
                os._exit(9)
            return real(*arguments, **named)
        return call
    for owner, name in ((os, "replace"), (os, "unlink"), (os, "mkdir"), (os, "rmdir"), (os, "rename")):
        setattr(owner, name, wrapped(getattr(owner, name)))

def in_child(moment):
    child = os.fork()
    if not child:
        if moment:
            crash_at(moment)
        pack(videos, work, config, QUIET, options=PackOptions(remove=True))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

shutil.copytree(before, work)
assert in_child(0) == 0
whole, moment = contents(work), 0
while True:
    moment += 1
    shutil.rmtree(work)
    shutil.copytree(before, work)
    code = in_child(moment)
    assert code in (0, 9), code
    assert code or contents(work) == whole
    if code == 0:
        break
    assert in_child(0) == 0, f"the call after a crash at change {moment} fails"
    assert contents(work) == whole, f"after a crash at change {moment}"
print(moment - 1)
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Videos, and a dataset of some of them as they were: two are gone since, one has changed, three are new."""
    folder = tmp_path_factory.mktemp("recovery")
    videos = folder / "videos"
    short = Video(seconds=Fraction(5), width=32, height=32, fps=Fraction(10))
    for number in range(7):
        write_video(videos / f"old {number}.mp4", replace(short, seed=number))
    pack(videos, folder / "dataset", CONFIG, QUIET)
    (folder / "dataset" / "README.md").write_text("what a person may put there")
    for number in (1, 5):
        (videos / f"old {number}.mp4").unlink()
    write_video(videos / "old 2.mp4", replace(short, seed=20))
    for number in range(3):
        write_video(videos / f"new {number}.mp4", replace(short, seed=10 + number))
    return videos, folder / "dataset"


def test_a_change_of_a_dataset_may_be_interrupted_before_any_step(before: tuple[Path, Path], tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(CRASHES)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(script), *map(str, before), str(tmp_path / "work")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@pytest.mark.parametrize("lost", ["deleted", "damaged"])
def test_a_lost_plan_is_put_together_again_from_the_side_files(lost: str, before: tuple[Path, Path], tmp_path: Path):
    videos, dataset = before[0], shutil.copytree(before[1], tmp_path / "out")
    pack(videos, dataset, CONFIG, QUIET, options=PackOptions(remove=True))
    whole = contents(dataset)
    if lost == "damaged":
        (dataset / "plan.json").write_text('{"format_version": 2')
        with pytest.raises(Exception, match=r"plan.json is damaged.*delete it and run the same command again"):
            pack(videos, dataset, CONFIG, QUIET)
    (dataset / "plan.json").unlink()
    with pytest.raises(InputError, match="was packed with other settings"):
        pack(videos, dataset, replace(CONFIG, size=64), QUIET)
    assert pack(videos, dataset, CONFIG, QUIET).shards_packed == 0
    assert contents(dataset) == whole


def test_what_lies_beside_the_shards_is_left_alone(before: tuple[Path, Path], tmp_path: Path):
    dataset = shutil.copytree(before[1], tmp_path / "out")
    (dataset / "notes").mkdir()
    (dataset / "notes" / "film.mp4.part").touch()
    (dataset / "run" / "step-1.part").mkdir(parents=True)
    pack(before[0], dataset, CONFIG, QUIET, options=PackOptions(remove=True))
    assert (dataset / "README.md").exists()
    assert (dataset / "notes" / "film.mp4.part").exists()
    assert (dataset / "run" / "step-1.part").exists()
    assert read_info(dataset).sources == 8


def test_a_link_in_place_of_the_parts_is_refused_and_what_it_leads_to_stays(before: tuple[Path, Path], tmp_path: Path):
    dataset = shutil.copytree(before[1], tmp_path / "out")
    (tmp_path / "precious" / "0123456789abcdef").mkdir(parents=True)
    (dataset / ".parts").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match=r"\.parts is a link.*delete the link"):
        pack(before[0], dataset, CONFIG, QUIET, options=PackOptions(remove=True))
    assert (tmp_path / "precious" / "0123456789abcdef").exists()


def test_packing_that_was_only_begun_leaves_no_trace_in_another_one(before: tuple[Path, Path], tmp_path: Path):
    dataset = tmp_path / "out"
    dataset.mkdir()
    shutil.copy(before[1] / "plan.json", dataset)  # no shard was finished
    (dataset / ".parts" / "0123456789abcdef").mkdir(parents=True)
    pack(before[0], dataset, replace(CONFIG, size=48), QUIET)
    pack(before[0], tmp_path / "fresh", replace(CONFIG, size=48), QUIET)
    assert contents(dataset) == contents(tmp_path / "fresh")


def test_settings_that_are_written_otherwise_are_the_same(before: tuple[Path, Path], tmp_path: Path):
    dataset = shutil.copytree(before[1], tmp_path / "out")
    pack(before[0], dataset, CONFIG, QUIET, PackOptions(remove=True))
    other = replace(CONFIG, size=64, width=32, height=32, fps="30.0", trim_s="1/4", clip_s="10.00", workers=2)
    assert pack(before[0], dataset, other, QUIET).shards_packed == 0


def test_a_file_that_is_gone_takes_its_clips_with_it_only_when_asked(before: tuple[Path, Path], tmp_path: Path):
    videos = shutil.copytree(before[0], tmp_path / "videos")
    names = sorted(path.name for path in videos.iterdir())
    (tmp_path / "list.csv").write_text("path,action\nnever.mp4,x\n" + "".join(f"videos/{name},x\n" for name in names))
    pack(tmp_path / "list.csv", tmp_path / "out", CONFIG, QUIET)
    whole = contents(tmp_path / "out")
    (videos / names[0]).rename(tmp_path / "away.mp4")
    for _ in range(2):
        with pytest.raises(InputError, match=rf"1 source of .* cannot be found any more \(videos/{names[0]}\): bring"):
            pack(tmp_path / "list.csv", tmp_path / "out", CONFIG, QUIET)
        assert contents(tmp_path / "out") == whole
    summary = pack(tmp_path / "list.csv", tmp_path / "out", CONFIG, QUIET, PackOptions(remove=True))
    assert len(summary.rejects) == 2


def test_another_folder_never_empties_a_dataset(before: tuple[Path, Path], tmp_path: Path):
    write_video(tmp_path / "other" / "a.mp4", Video(seed=99))
    for options in (PackOptions(), PackOptions(remove=True)):
        with pytest.raises(InputError, match=r"your videos are none of those that .* was made of"):
            pack(tmp_path / "other", before[1], CONFIG, QUIET, options)


def test_a_dataset_that_only_grows_stays_one_until_the_end(before: tuple[Path, Path], tmp_path: Path, monkeypatch):
    dataset = shutil.copytree(before[1], tmp_path / "out")
    pack(before[0], dataset, CONFIG, QUIET, PackOptions(remove=True))
    videos = shutil.copytree(before[0], tmp_path / "videos")
    write_video(videos / "more.mp4", Video(seed=98))
    seen: list[int] = []
    monkeypatch.setattr("sharding.pack.pack.make_shards", lambda *_: seen.append(read_info(dataset).sources))
    with pytest.raises(InputError):
        pack(videos, dataset, CONFIG, QUIET)
    assert seen == [8]
    assert read_info(dataset).sources == 8
