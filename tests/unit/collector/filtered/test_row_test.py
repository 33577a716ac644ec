"""Which rows a filter can't decide of, as an owner or its name can't be seen."""

from __future__ import annotations

from _socket import AF_INET

import pytest

from zabbix_sockets.collector.filtered.row_test import RowTest, select_matching
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.filters.terms import CgroupCondition, Node
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Process
from zabbix_sockets.model.wire import LISTENING_MASK, SocketRow
from zabbix_sockets.readers.sock_diag.messages import ENCODING

from ..fakes import row  # noqa: TID252  # a test folder is no package

ESTABLISHED, LISTEN, TIME_WAIT = 1, 10, 6
OWNED, UNOWNED_INODE, NOBODYS = 70, 71, 0


def owners_with(**unseen: object) -> Owners:
    """Return owners of which nginx (pid 7) has OWNED, and something can't be seen."""
    owners = Owners()
    owners.add(Process(7, "nginx"), [OWNED])
    for name, value in unseen.items():
        setattr(owners, name, value)
    return owners


class Asked:
    """A row's test, and how often it could not decide."""

    def __init__(self, asked: str | Node, owners: Owners) -> None:
        self.undecided = 0
        context = RowContext(AF_INET, ENCODING, OwnerMatcher(owners))
        node = parse(asked).node if isinstance(asked, str) else asked
        self.test = RowTest(node, context, owners, self._note)

    def _note(self) -> None:
        self.undecided += 1

    def decides(self, given: SocketRow) -> bool:
        """Whether the test can decide of a row."""
        before = self.undecided
        self.test.holds(given)
        return self.undecided == before


UNSEEN = [{"denied": {"sshd": 1}}, {"hidden": True}, {"complete": False}]


@pytest.mark.parametrize("unseen", UNSEEN, ids=str)
@pytest.mark.parametrize(
    ("expression", "decides"),
    [
        ("pid = 7", False),
        ("not pid = 7", False),
        ("process nginx", False),
        ("pid = 7 and sport = :40000", False),
        ("pid = 7 and sport = :22", True),  # whoever has it
        ("pid = 7 or sport = :40000", True),
        ("pid = 7 or sport = :22", False),
        ("sport = :40000", True),
    ],
)
def test_owner_that_is_not_seen(
    unseen: dict[str, object], expression: str, *, decides: bool
) -> None:
    """Where an unseen process may be the owner, and it depends on that, nobody can decide."""
    asked = Asked(expression, owners_with(**unseen))
    assert asked.decides(row(UNOWNED_INODE)) == decides
    assert asked.decides(row(OWNED))
    assert asked.decides(row(NOBODYS))  # no process has a socket without an inode
    assert Asked(expression, owners_with()).decides(row(UNOWNED_INODE))


@pytest.mark.parametrize(
    ("expression", "decides"),
    [
        ("process nginx", False),
        ("process other and sport = :40000", False),
        ("process other and sport = :22", True),
        ("pid = 7", True),
        ("sport = :40000", True),
    ],
)
def test_name_that_is_not_seen(expression: str, *, decides: bool) -> None:
    """Of a process whose full name is hidden nobody can decide by the name."""
    owners = owners_with(uncertain={0})
    owners.add(Process(8, "sshd"), [80])
    asked = Asked(expression, owners)
    assert asked.decides(row(OWNED)) == decides
    assert asked.decides(row(80))


def test_cgroup_that_is_not_told() -> None:
    """A kernel that tells no cgroup can't answer; of sockets without one it need not."""
    asked = Asked(CgroupCondition(5), owners_with()).test
    assert asked.needs_cgroup_or_mark
    assert not Asked("sport = :40000", owners_with()).test.needs_cgroup_or_mark
    assert asked.holds(row(OWNED), 5)
    assert not asked.holds(row(OWNED, state=TIME_WAIT))
    for state in (ESTABLISHED, LISTEN):
        with pytest.raises(SocketsError, match=r"no socket's cgroup: that takes 5\.8"):
            asked.holds(row(OWNED, state=state))


def test_mark() -> None:
    """The mark of a row is that which is given."""
    asked = Asked("fwmark = 3", owners_with()).test
    assert asked.needs_cgroup_or_mark
    assert [asked.holds(row(OWNED), 0, mark) for mark in (0, 3)] == [False, True]


def test_listeners_among_rows() -> None:
    """Listeners are returned whether or not they match, if they are asked for."""
    rows = [(row(1, LISTEN, 80), b""), (row(2), b"")]
    test = Asked("sport = :40000", owners_with()).test
    listener = rows[0][0][1], rows[0][0][3]
    assert select_matching(rows, LISTENING_MASK["tcp"], test) == ([listener], rows[1:])
    assert select_matching(rows, 0, test) == ([], rows[1:])
    assert select_matching(rows, 0, None) == ([], rows)
