"""A spool of its own for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from spooling import LARGE

from zabbix_sockets.sending.spool import Spool


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A spool's file, in a folder that is still to be made."""
    return str(tmp_path / "state/spool.sqlite")


@pytest.fixture
def spool(path: str) -> Iterator[Spool]:
    """An empty spool with room for all."""
    spool = Spool(path, LARGE)
    yield spool
    spool.close()
