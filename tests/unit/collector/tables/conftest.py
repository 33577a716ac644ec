"""The host that the tests of the collection by tables read."""

from pathlib import Path

import pytest

from ..hosts import ADMIN, Host  # noqa: TID252  # a test folder is no package


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host whose reader may enter namespaces."""
    made = Host(tmp_path, monkeypatch)
    made.proc.write_capabilities(ADMIN)
    return made
