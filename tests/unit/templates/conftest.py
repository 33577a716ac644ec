"""Each of the files, and the document whose every field says something."""

import pytest

from zabbix_sockets.model import Snapshot

from .. import test_report  # noqa: TID252  # a test folder is no installed package
from .exports import Export, exports

full = test_report.full  # the fixture


@pytest.fixture
def document(full: Snapshot) -> test_report.Document:
    """Return a document in which every field has something to say."""
    return test_report.document_of(full)


@pytest.fixture(params=exports(), ids=lambda export: export.path.stem)
def export(request: pytest.FixtureRequest) -> Export:
    """Each template in each version."""
    assert isinstance(request.param, Export)
    return request.param
