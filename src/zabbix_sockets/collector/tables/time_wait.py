"""Sums over sockets in TIME_WAIT, of which netlink's messages are counted undecoded.

A proxy has a hundred thousand of them, and no process holds one. Of the two endpoints of each one
is left out that is distinct for each socket: the other one is counted, which is decoded once for
all equal ones. What the local port tells of the direction (Directions.by_port()) decides which one:
with a FIXED_PORT the local endpoint is counted, with an OUTBOUND_PORT the remote one. The few
sockets with a LISTENING_PORT are added one by one, with both.
"""

from __future__ import annotations

from _collections_abc import Mapping
from itertools import compress

from zabbix_sockets.collector.directions import FIXED_PORT, LISTENING_PORT, OUTBOUND_PORT
from zabbix_sockets.collector.row_fold import RowKey, TableFold
from zabbix_sockets.collector.sources import Plan
from zabbix_sockets.collector.sums import MAX_DISTINCT
from zabbix_sockets.collector.table_readers import time_wait_endpoints
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, ParseError, SourceUnavailableError
from zabbix_sockets.model.light_library import count_elements
from zabbix_sockets.model.snapshot import NOBODY, OUTBOUND
from zabbix_sockets.model.wire import TcpState
from zabbix_sockets.readers.proc.counters import count_time_wait
from zabbix_sockets.readers.sock_diag.endpoints import (
    BothEndpoints,
    Endpoints,
    LocalEndpoint,
    remote_endpoint,
)

_MUCH = 1000  # sockets, for which another scan of the host's table is worth its while
_UID = 0  # the uid that netlink reports of sockets in TIME_WAIT
_STATE = TcpState.TIME_WAIT


def _selecting(told: int) -> bytes:
    """Return the table for bytes.translate() that makes 1 of the byte *told*, and 0 of others."""
    return bytes(number == told for number in range(256))


_IS_FIXED, _IS_OUTBOUND, _IS_LISTENING = map(
    _selecting, (FIXED_PORT, OUTBOUND_PORT, LISTENING_PORT)
)


def has_much_time_wait(proc: str) -> bool:
    """Whether so many sockets are in TIME_WAIT that they are worth a dump of their own.

    They are those of the own namespace, by *proc*/net/sockstat; False where that can't be read. A
    dump with tcp_info has long messages of other sockets and short ones of these in turns, and
    takes 10 microseconds for each of these: a dump of their own takes one.
    """
    try:
        return count_time_wait(proc) >= _MUCH
    except ParseError:
        return False


def add_time_wait(plan: Plan, folds: Mapping[int, TableFold], deadline: Deadline) -> bool:
    """Add the sockets in TIME_WAIT of the own namespace to the sums of the TCP tables, by netlink.

    *folds* are the sums by the tables' families, AF_INET and AF_INET6; they have all listeners.
    Return whether all of these sockets were read; if not, there is a warning unless the time is
    over.
    """
    by_family = {family: TimeWaitFold(fold) for family, fold in folds.items()}
    try:
        for endpoints in plan.open(time_wait_endpoints(deadline)).batches:
            if endpoints.family in by_family:
                by_family[endpoints.family].add(endpoints)
    except DeadlineError:
        return False
    except (OSError, ParseError, SourceUnavailableError) as error:
        plan.warn(f"tcp: sockets in TIME_WAIT can't be read: {error}")
        return False
    finally:
        for fold in by_family.values():
            fold.drain()
    return True


class TimeWaitFold:
    """The sums of the sockets in TIME_WAIT of one table.

    Args:
        fold: the table's sums, which have all of its listeners, and to which these are added.
    """

    def __init__(self, fold: TableFold) -> None:
        self._fold = fold
        self._ephemeral = fold.directions.ephemeral
        self._by_port = fold.directions.by_port()
        self._local: dict[tuple[LocalEndpoint, int], int] = {}
        self._remote: dict[tuple[bytes], int] = {}

    def add(self, endpoints: Endpoints) -> None:
        """Count the sockets with these endpoints."""
        told = bytes(map(self._by_port.__getitem__, endpoints.local_ports()))
        if OUTBOUND_PORT in told:
            of_outbound = compress(endpoints.remote(), told.translate(_IS_OUTBOUND))
            count_elements(self._remote, of_outbound)
        if FIXED_PORT in told:
            ephemeral = map(self._ephemeral.__getitem__, endpoints.remote_ports())
            pairs = zip(endpoints.local(), ephemeral)
            count_elements(self._local, compress(pairs, told.translate(_IS_FIXED)))
        if LISTENING_PORT in told:
            for both in compress(endpoints.both(), told.translate(_IS_LISTENING)):
                self._add_both(both)
        if len(self._local) + len(self._remote) > MAX_DISTINCT:
            self.drain()

    def drain(self) -> None:
        """Add what has been counted to the table's sums."""
        add = self._fold.sums.add
        for end, count in self._remote.items():
            remote_port, local, remote, device = remote_endpoint(self._fold.table.family, end)
            key: RowKey = NOBODY, _STATE, OUTBOUND, remote, remote_port, device, local, 1
            add(key, _UID, count)
        for (local_endpoint, is_ephemeral), count in self._local.items():
            add(self._local_key(local_endpoint, self._ephemeral.find(is_ephemeral)), _UID, count)
        self._remote.clear()
        self._local.clear()

    def _local_key(self, end: LocalEndpoint, remote_port: int) -> RowKey:
        """Return the key of sockets in TIME_WAIT with a local end, and such a *remote_port*.

        The endpoint in it is their listener's. Where they have none it lacks an endpoint: no row of
        the document needs one.
        """
        port, address, device = end
        direction, server = self._fold.directions.of(port, address, remote_port)
        if server is None:
            return NOBODY, _STATE, direction, None, None, 0, None, 0
        return NOBODY, _STATE, direction, server, port, device, None, 0

    def _add_both(self, both: BothEndpoints) -> None:
        """Count a socket whose local port the kernel picks, and somebody listens on."""
        port, remote_port, local, remote, device = both
        key = self._local_key((port, local, device), remote_port)
        if key[2] == OUTBOUND:
            key = NOBODY, _STATE, OUTBOUND, remote, remote_port, device, local, 1
        self._fold.sums.add(key, _UID)
