"""A network namespace for every test."""

import os
from collections.abc import Iterator

import netns
import pytest
import zoo

from zabbix_sockets.pins import load, unload
from zabbix_sockets.readers import bpf


@pytest.fixture(scope="session")
def pins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Pin the BPF iterators in a bpffs of the tests' own."""
    if os.geteuid():
        pytest.skip("loading BPF programs needs root")
    reason = bpf.why_kernel_cannot()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("pins")
    for path in (folder, *folder.parents[:2]):
        path.chmod(0o755)  # other users read the pins
    load(str(folder))
    yield str(folder)
    unload(str(folder))


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """Run each test in a namespace of its own, so that it sees its own sockets only."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    with netns.own_namespace():
        try:
            yield
        finally:
            zoo.release()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if item.path.is_relative_to(os.path.dirname(__file__)):
            item.add_marker("kernel")
