"""Booted systems for the tests, and what is installed on them."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import rounds

from . import packages, trees
from .installing import Host, booted_host
from .trees import UnavailableError

_ALL = [(release, agent) for release in trees.tested() for agent in trees.agents_of(release)]

HOSTS = [host for host in _ALL if host[0] not in trees.OLD_LIBBPF]
"""Each agent of each release that this run tests and where the iterators can be loaded."""

OLD_HOSTS = [host for host in _ALL if host[0] in trees.OLD_LIBBPF]
"""The others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what this run has no host for: nothing is missing, so it is not skipped."""
    items[:] = [item for item in items if not item.name.endswith("[NOTSET]")]


def with_agent(agent: str) -> list[tuple[str, str]]:
    """Return the hosts for a test that takes its time: with this agent, or with all rounds all."""
    return [host for host in HOSTS if host[1] == agent or not rounds.IS_SHORT]


def on(hosts: Sequence[tuple[str, str]]) -> pytest.MarkDecorator:
    """Have tests done on each of these hosts: *where* is a release and its agent."""
    return pytest.mark.parametrize("where", hosts, ids="-".join, scope="module")


@contextmanager
def or_skipped() -> Iterator[None]:
    """Skip the test, with the reason, where this machine can't boot the system."""
    try:
        yield
    except UnavailableError as exc:
        pytest.skip(str(exc))


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout."""
    return _built(packages.build, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="session")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of a former version."""
    return _built(packages.build_former, tmp_path_factory.mktemp("former"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The .tar.gz of this checkout."""
    return _built(packages.build_archive, tmp_path_factory.mktemp("archive"))


def _built(build: packages.Builder, folder: Path) -> Path:
    try:
        return build(folder)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no package: {exc}")


@pytest.fixture
def host(where: tuple[str, str], package: Path) -> Iterator[Host]:
    """A booted host with an agent and the package in /root, not installed."""
    with or_skipped(), booted_host(*where, package) as host:
        yield host


@pytest.fixture(scope="module")
def installed(where: tuple[str, str], package: Path) -> Iterator[Host]:
    """A booted host where all is done that README.md says; the module's tests share it."""
    with or_skipped(), booted_host(*where, package) as host:
        host.install()
        yield host
