"""A network namespace for every test."""

import os
from collections.abc import Iterator

import netns
import pytest
import zoo


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
