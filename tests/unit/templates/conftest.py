"""Each of the files, and the document whose every field says something."""

import pytest
from json_documents import json_document

from zabbix_sockets.model.clients import ClientSums
from zabbix_sockets.model.quality import sample
from zabbix_sockets.model.snapshot import (
    FIRST_OWNER,
    HOST_ADDRESS,
    OwnAddress,
    Snapshot,
    UnixListener,
    UnixSockets,
)
from zabbix_sockets.model.totals import Totals
from zabbix_sockets.model.wire import OWN_NETNS

from ..document import test_document  # noqa: TID252  # a test folder is no package
from .exports import Export, exports

reported = test_document.full  # the fixture


@pytest.fixture
def full(reported: Snapshot) -> Snapshot:
    """Its Snapshot, with a unix listener, samples of connections, totals, clients, addresses."""
    reported.unix = UnixSockets()
    reported.unix.listeners = [UnixListener(0, b"/run/x.sock", FIRST_OWNER, 2, 1, 128, 0)]
    reported.unmeasured = set()
    reported.totals = Totals(1_600_000_000, 10**12, 3, 1, 1, [], [], [])
    reported.addresses = [OwnAddress(b"\xc0\0\2\1", 24, HOST_ADDRESS, OWN_NETNS)]
    reported.clients = ClientSums()
    for each in reported.listeners:
        reported.clients.of(each[1:5]).add(each.address)
    reported.qualities = dict.fromkeys(reported.connections, sample(9, True, 1, 1, (1, 1)))
    return reported


@pytest.fixture
def document(full: Snapshot) -> test_document.Document:
    """Return a document in which every field has something to say."""
    return json_document(full, admits=True)


@pytest.fixture(params=exports(), ids=lambda export: export.path.stem)
def export(request: pytest.FixtureRequest) -> Export:
    """Each template in each version."""
    assert isinstance(request.param, Export)
    return request.param
