"""Each of the files, and the document whose every field says something."""

import pytest

from zabbix_sockets.model.quality import sample
from zabbix_sockets.model.snapshot import Snapshot

from ..document import test_document  # noqa: TID252  # a test folder is no package
from .exports import Export, exports

reported = test_document.full  # the fixture


@pytest.fixture
def full(reported: Snapshot) -> Snapshot:
    """Return its Snapshot, with samples of every connection."""
    reported.unmeasured = set()
    reported.qualities = dict.fromkeys(reported.connections, sample(9, True, 1, 1, (1, 1)))
    return reported


@pytest.fixture
def document(full: Snapshot) -> test_document.Document:
    """Return a document in which every field has something to say."""
    return test_document.document_of(full)


@pytest.fixture(params=exports(), ids=lambda export: export.path.stem)
def export(request: pytest.FixtureRequest) -> Export:
    """Each template in each version."""
    assert isinstance(request.param, Export)
    return request.param
