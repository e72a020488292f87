"""One cluster for all tests of a worker; after each test it is as new."""

from collections.abc import Generator, Iterator

import pytest

from slurm.cluster import Cluster, ClusterSettings
from slurm.cluster.packages import HOW, find_programs

TEST_S = 900
"""Of a whole test: each of its waits has a limit of its own, and tells what it waited for."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of this folder have more time than others."""
    for item in items:
        if item.get_closest_marker("slurm"):
            item.add_marker(pytest.mark.timeout(TEST_S))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes of 4 CPUs and 2 fake GPUs, with accounting where its programs are there.

    From SIGTERM to SIGKILL jobs have 10 s: on a slow machine one that ends well takes more than half of that.
    """
    accounting = not find_programs().missing(accounting=True)
    settings = ClusterSettings(folder=tmp_path_factory.mktemp("cluster"), accounting=accounting, kill_wait_s=10)
    with Cluster(settings) as running:
        yield running


@pytest.fixture
def accounting(cluster: Cluster) -> None:
    """For tests that ask sacct: skips them where slurmdbd and MariaDB are missing."""
    if not cluster.settings.accounting:
        pytest.skip(f"no sacct without {', '.join(cluster.programs.missing(accounting=True))}: {HOW}")


@pytest.fixture(autouse=True)
def cluster_is_left_as_new(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that used the cluster: cancel what is left, switch dead nodes on, wait until all are idle."""
    used: Cluster | None = request.getfixturevalue("cluster") if "cluster" in request.fixturenames else None
    yield
    if used is not None:
        used.tidy()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the ends of the cluster's logs."""
    report = yield
    used = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(used, Cluster):
        report.sections.append(("the cluster's logs", used.logs()))
    return report
