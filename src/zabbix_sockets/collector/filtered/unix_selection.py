"""The selection of unix sockets by a filter: by state, processes, user and network namespace.

Other conditions ask for what unix sockets don't have, or no source tells of them.
"""

from __future__ import annotations

from _collections_abc import Callable, Mapping
from _socket import AF_INET

from zabbix_sockets.collector.filtered.row_test import RowTest
from zabbix_sockets.collector.filtered.selection import Selection
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import Namespace, Query
from zabbix_sockets.model.wire import SocketRow, UnixRow
from zabbix_sockets.readers.proc.mounts import Mounts
from zabbix_sockets.readers.sock_diag.messages import ENCODING

KNOWN = ("state", "process", "pid", "user", "netns")
"""The kinds of conditions that can be decided for unix sockets."""
_WORDS = {"port": "sport and dport", "host": "src and dst"}


class UnixSelection(Selection):
    """The filter of a query for unix sockets, with its names looked up on this host.

    Raises:
        UsageError: the expression is wrong, has a condition of none of the kinds KNOWN, or names a
            user that this host doesn't have.
    """

    def __init__(self, query: Query, mounts: Mounts) -> None:
        for kind in sorted(parse(query.filter).kinds):
            if kind not in KNOWN:
                raise UsageError(
                    f"filter: {_WORDS.get(kind, kind)} can't be decided for unix sockets",
                    f"of these only {', '.join(KNOWN)} are known",
                )
        super().__init__(query, mounts)

    def matcher(
        self, owners: Owners, namespaces: Mapping[int, Namespace]
    ) -> Callable[[UnixRow, int], bool]:
        """Return the test whether a row of a namespace, given by its number, matches.

        *namespaces* are the other ones that were found. The test raises SocketsError if it needs
        the user, which the source doesn't tell.

        Raises:
            SocketsError: the filter names a namespace that is not among them.
        """
        self.owners = owners
        self.find_named_namespaces(namespaces)
        context = RowContext(AF_INET, ENCODING, OwnerMatcher(owners))
        tests: dict[int, RowTest] = {}

        def matches(row: UnixRow, netns: int) -> bool:
            if netns not in tests:
                tests[netns] = RowTest(self.reduced(netns), context, owners, self.note_undecided)
            _, state, inode, *_, uid = row
            if uid < 0 and "user" in self.kinds:
                raise SocketsError(
                    "filter: the source tells no unix socket's user: user can't be decided",
                    "sock_diag tells it, from Linux 5.3 on",
                )
            as_others: SocketRow = state, 0, 0, b"", b"", 0, 0, 0, uid, inode
            return tests[netns].holds(as_others)

        return matches
