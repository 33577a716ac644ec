"""A network namespace for every test."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import netns
import pytest
import zoo

from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.bpf.pins import load, unload


@pytest.fixture(scope="session")
def pins() -> Iterator[str]:
    """Pin the BPF iterators in a bpffs of the tests' own."""
    if os.geteuid():
        pytest.skip("loading BPF programs needs root")
    reason = records.why_kernel_cannot()
    if reason:
        pytest.skip(reason)
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")  # pytest's own is closed to others
    os.chmod(folder, 0o755)
    load(folder)
    yield folder
    unload(folder)
    os.rmdir(folder)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: each session of pytest that begins closes its own."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


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
