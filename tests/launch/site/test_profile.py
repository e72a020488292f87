"""Profiles of clusters: found by name, read strictly, and every one that comes with avsync makes a script."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from launch.site.profile import ClusterProfile
from launch.site.profiles import (
    SHIPPED,
    find_profile,
    known_profiles,
    own_folder,
    read_profile,
)
from launch.submit.kinds import KINDS
from launch.submit.resources import ResourceOptions, resources
from sharding.errors import InputError


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def written(text: str) -> Path:
        path = tmp_path / "site.toml"
        path.write_text(text)
        return path

    return written


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder of profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = own_folder()
    assert folder
    folder.mkdir(parents=True)
    return folder


def test_a_name_finds_the_users_own_profile_before_the_one_that_comes_with_avsync(own: Path) -> None:
    assert find_profile("test").partition == "low"
    (own / "test.toml").write_text('partition = "mine"')
    assert (find_profile("test").partition, find_profile("test").name) == ("mine", "test")


def test_a_path_is_read_as_it_is(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write('partition = "here"')
    monkeypatch.chdir(path.parent)
    assert find_profile("./site.toml") == find_profile("site.toml") == find_profile(str(path))


def test_the_environment_names_the_cluster_where_nothing_is_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSYNC_CLUSTER", "small-lab")
    assert find_profile("").name == "small-lab"
    monkeypatch.delenv("AVSYNC_CLUSTER")
    with pytest.raises(InputError, match=r"--cluster NAME is missing.*small-lab"):
        find_profile("")


def test_an_unknown_name_is_told_what_there_is(own: Path) -> None:
    with pytest.raises(InputError, match="did you mean small-lab"):
        find_profile("smal-lab")
    with pytest.raises(InputError, match=r"there are .*public-cluster.*; your own go to .*NAME\.toml"):
        find_profile("x")
    with pytest.raises(InputError, match=r"cannot read the profile x\.toml: No such file"):
        find_profile("x.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partition = 3", r"site.toml: partition: expected `str`, got `int`; write it in quotes"),
        ('gpus_per_node = "4"', r"site.toml: gpus_per_node: expected `int`, got `str`"),
        ('partiton = "x"', r"site.toml: the setting partiton is not known; did you mean partition\?"),
        ('[pack]\npartiton = "x"', r"the setting pack.partiton is not known; did you mean pack.partition\?"),
        ('[pack]\nzzz = "x"', r"the setting pack.zzz is not known; there are partition, account"),
        ("[train]\nnodes = 2.5", r"site.toml: train.nodes: expected `int \| str`, got `float`"),
        ("[train]\nnodes = 0", r"site.toml: train.nodes = 0 must be at least 1; write 4, or 2-4"),
        ('[train]\nnodes = "4-2"', r"site.toml: train.nodes = 4-2 has its ends the wrong way round: 2 is less"),
        ('[evaluate]\nnodes = "some"', r"site.toml: evaluate.nodes = some is no number of nodes"),
        ('name = "x"', r"the setting name is not known"),
        ('time = "soon"', r'site.toml: time = "soon" is no time limit'),
        ('time = "4 min"', r'signal_lead = "5 min" must be shorter than time = "4 min"'),
        ('[pack]\ntime = "1h30m"', r'site.toml: pack.time = "1h30m" is no time limit'),
        ('[train]\nmemory = "9 cups"', r'site.toml: train.memory = "9 cups" is no memory'),
        ('memory_per_gpu = "1.5G"', r'site.toml: memory_per_gpu = "1.5G" is no memory; .* write 1536M'),
        ('requeue = "at once"', r"site.toml: requeue: invalid enum value 'at once'; there are plain, expedite"),
        ("retries = 0", r"site.toml: retries = 0 is too low"),
        ('scratch_size = "9 cups"', r'scratch_size = "9 cups" is no size'),
        ("[efficiency]\ngpu_below = 2.0", r"efficiency.gpu_below = 2.0 must be a share"),
        ("[environment]\nTHREADS = 1", r"environment.*: expected `str`, got `int`; write it in quotes"),
        ('[notify]\non = ["never"]', r"notify.on.*: invalid enum value 'never'; there are done, failed"),
        ("pack = 3", r"site.toml: pack: expected `object`"),
        ("partition = ", r"site.toml is not TOML: "),
    ],
)
def test_what_cannot_be_is_refused_by_file_and_setting(write: Callable[[str], Path], text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_profile(write(text))


def test_an_empty_profile_is_the_defaults(write: Callable[[str], Path]) -> None:
    assert read_profile(write("")) == ClusterProfile(name="site")


SHIPPED_NAMES = sorted(path.stem for path in SHIPPED.glob("*.toml"))


def test_there_are_examples_of_several_sites_and_the_test_cluster() -> None:
    assert len(SHIPPED_NAMES) >= 5
    assert "test" in SHIPPED_NAMES
    assert set(SHIPPED_NAMES) <= set(known_profiles())


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_an_example_says_first_for_whom_it_is(name: str) -> None:
    assert (SHIPPED / f"{name}.toml").read_text().startswith("# ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_every_kind_of_job_gets_something_to_run_on(name: str, kind: str) -> None:
    profile = find_profile(name)
    asked = resources(KINDS[kind], KINDS[kind].options(profile), profile, ResourceOptions())
    assert asked.partition
    assert min(asked.nodes, asked.tasks_per_node, asked.cpus_per_task) >= 1
    assert asked.time_s > profile.signal_lead_s
    assert asked.tasks_per_node == (asked.gpus_per_node or asked.tasks_per_node)


def test_what_is_typed_comes_before_the_kind_and_the_kind_before_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    profile, train = find_profile("public-cluster"), KINDS["train"]
    monkeypatch.setenv("SBATCH_PARTITION", "environment")
    plain = resources(train, train.options(profile), profile, ResourceOptions())
    assert (plain.partition, plain.nodes, plain.gpus_per_node, plain.tasks_per_node) == ("gpu", 2, 4, 4)
    assert (plain.cpus_per_task, plain.memory_mb, plain.time_s) == (12, 4 * 120 * 1024, 86_400)
    typed = ResourceOptions(nodes="1", gpus_per_node=2, memory="1 GiB", time="2 h", partition="mine", cpus_per_task=3)
    mine = resources(train, train.options(profile), profile, typed)
    assert (mine.partition, mine.nodes, mine.gpus_per_node, mine.tasks_per_node) == ("mine", 1, 2, 2)
    assert (mine.cpus_per_task, mine.memory_mb, mine.time_s) == (3, 1024, 7200)
    assert resources(train, train.options(profile), ClusterProfile(), ResourceOptions()).partition == "environment"


@pytest.mark.parametrize(
    ("kind", "wanted", "said"),
    [
        ("evaluate", ResourceOptions(nodes="2"), "--nodes 2: only train runs on more than one node"),
        ("pack", ResourceOptions(gpus_per_node=1), "--gpus-per-node 1: this job uses none"),
        ("evaluate", ResourceOptions(gpus_per_node=4), "--gpus-per-node 4: this job uses 1"),
        ("train", ResourceOptions(time="5 min"), "leaves no time to work"),
        ("train", ResourceOptions(time="30 s"), "leaves no time to work"),
    ],
)
def test_what_a_job_cannot_use_is_refused(kind: str, wanted: ResourceOptions, said: str) -> None:
    profile = find_profile("public-cluster")
    with pytest.raises(InputError, match=said):
        resources(KINDS[kind], KINDS[kind].options(profile), profile, wanted)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nodes": 0}, "--nodes 0 must be at least 1"),
        ({"array": 0}, "--array 0 must be at least 1"),
        ({"gpus_per_node": -1}, "--gpus-per-node -1 must not be negative"),
        ({"memory": "much"}, "--memory"),
        ({"time": "long"}, "--time"),
    ],
)
def test_a_flag_that_cannot_be_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ResourceOptions(**settings)
