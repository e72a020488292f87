"""One cluster for all tests of a worker; after each test it is as new."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster, ClusterSettings
from slurm.cluster.packages import find_programs


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Four nodes of 4 CPUs and 2 fake GPUs; with accounting where the programs are there."""
    accounting = not find_programs().missing(accounting=True)
    folder: Path = tmp_path_factory.mktemp("cluster")
    with Cluster(ClusterSettings(folder=folder, accounting=accounting)) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and cluster is not None:
        report.sections.append(("cluster", cluster.logs()))
    return report


@pytest.fixture(autouse=True)
def leave_it_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test that used the cluster: cancel what is left, switch dead nodes on, wait until all are idle."""
    yield
    if "cluster" in request.fixturenames:
        request.getfixturevalue("cluster").tidy()
