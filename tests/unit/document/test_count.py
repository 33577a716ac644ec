"""count: one number, or why it can't be said."""

import os

import pytest
from hypothesis import given

from zabbix_sockets.document.count import check_arguments, count
from zabbix_sockets.document.processes import process_rows
from zabbix_sockets.document.row import netns_labels
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Groups
from zabbix_sockets.model import gaps
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.gaps import Gap
from zabbix_sockets.model.names import as_parameter, safe_name
from zabbix_sockets.model.snapshot import FIRST_OWNER, NOBODY, Snapshot, Visibility
from zabbix_sockets.model.wire import TcpState

from ..snapshots import (  # noqa: TID252  # a test folder is no package
    WEB,
    inbound,
    outbound,
    processes,
    snapshot_of,
    snapshots,
    tcp_listener,
    udp_bound,
)

A, B = FIRST_OWNER, FIRST_OWNER + 1


@pytest.fixture
def nginx() -> Snapshot:
    """A Snapshot with a process of each kind of socket, and another."""
    connections = {
        inbound(A, 80): 5,
        outbound(A, 5432): 3,
        outbound(A, 5432, state=TcpState.CLOSE_WAIT): 7,
        outbound(A, 53, protocol="udp"): 4,
        outbound(B, 53): 100,
        inbound(A, 80, state=TcpState.SYN_RECV): 1,
        inbound(NOBODY, 80, state=TcpState.SYN_RECV): 20,
    }
    listeners = [tcp_listener(A, 80), udp_bound(A, 53), udp_bound(A, 54)]
    return snapshot_of(processes("nginx", "other"), listeners, connections)


@pytest.mark.parametrize(
    ("protocol", "state", "number"),
    [
        ("", "", 23),
        ("tcp", "", 17),
        ("udp", "", 6),
        ("tcp", "listen", 1),
        ("tcp", "established", 8),
        ("tcp", "inbound", 5),
        ("tcp", "outbound", 3),
        ("tcp", "unknown", 0),
        ("tcp", "close_wait", 7),
        ("tcp", "syn_sent", 0),
        ("tcp", "syn_recv", 21),
        ("udp", "bound", 2),
        ("udp", "connected", 4),
    ],
)
def test_number(nginx: Snapshot, protocol: str, state: str, number: int) -> None:
    """Each state has its number; a protocol is the sum of its states, directions not twice."""
    check_arguments("nginx", protocol, state)
    assert count(nginx, "nginx", protocol, state) == number


def test_process_that_is_not_there(nginx: Snapshot) -> None:
    """A process that holds nothing, where everything was seen, holds 0."""
    assert count(nginx, "nobody", "tcp", "listen") == 0


@pytest.mark.parametrize("raw", [b'a"b', b"(sd-pam)", b"a%b", b"\xff\n", b"x" * 100, b"(absent)"])
def test_raw_and_safe_name(raw: bytes) -> None:
    """A name may be given as the process chose it, or as the document shows it."""
    snapshot = snapshot_of(processes(safe_name(raw)), [tcp_listener(A, 80)])
    assert count(snapshot, os.fsdecode(raw)) == 1
    assert count(snapshot, safe_name(raw)) == 1
    assert count(snapshot, as_parameter(safe_name(raw))) == 1


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Gap(gaps.DENIED, "nginx", 2), "2 processes named nginx can't be inspected"),
        (Gap(gaps.DENIED), "hides other users' processes"),
        (Gap(gaps.HIDDEN), "hides other users' processes"),
        (Gap(gaps.UNASKED), "timed out"),
        (Gap(gaps.FOREIGN_OWNERS), "owners in other network namespaces"),
        (Gap(gaps.NAMESPACES), "not every socket was read"),
    ],
)
@pytest.mark.parametrize("process", ["nginx", "nobody"])
def test_number_that_is_not_known(nginx: Snapshot, process: str, gap: Gap, words: str) -> None:
    """What could not be seen gives an error, never a number that is too low."""
    nginx.visibility.gaps = [gap]
    if gap.where in ("", process):
        with pytest.raises(SocketsError, match=words):
            count(nginx, process)
    else:
        assert count(nginx, process) == 0


def test_denied_by_its_raw_name() -> None:
    """A denied process is found by its raw name too."""
    visibility = Visibility("sock_diag")
    visibility.add_gap(gaps.DENIED, safe_name(b'a"b'))
    for name in ('a"b', safe_name(b'a"b'), "%61%22b"):
        with pytest.raises(SocketsError, match="can't be inspected"):
            count(snapshot_of(visibility=visibility), name)


def test_unfinished_protocol(nginx: Snapshot) -> None:
    """A table that was not read to the end spoils the numbers of its own protocol."""
    nginx.visibility.add_gap(gaps.TABLE, "udp")
    assert count(nginx, "nginx", "tcp") == 17
    for protocol in ("udp", ""):
        with pytest.raises(SocketsError, match="not every socket was read"):
            count(nginx, "nginx", protocol)


def test_skipped_namespace(nginx: Snapshot) -> None:
    """A namespace that was not read to the end may have sockets of any process."""
    nginx.visibility.add_gap(gaps.NAMESPACE, netns=WEB)
    for process in ("nginx", "nobody"):
        with pytest.raises(SocketsError, match="not every socket was read"):
            count(nginx, process, "tcp")


def test_selection_and_grouping(nginx: Snapshot) -> None:
    """What counts is what the lists are of, by the names that they have."""
    nginx.processes = [each._replace(unit=f"{each.name}.service") for each in nginx.processes]
    nginx.connections[inbound(A, 80)._replace(netns=WEB)] = 9
    assert count(nginx, "nginx.service", "tcp", grouping=GROUPINGS["unit"]) == 26
    assert count(nginx, "nginx", grouping=GROUPINGS["unit"]) == 0
    nginx.selected = frozenset((WEB,))
    assert count(nginx, "nginx.service", "tcp", grouping=GROUPINGS["unit"]) == 9
    assert count(nginx, "other") == 0


@given(snapshots())
def test_same_numbers_as_the_document(snapshot: Snapshot) -> None:
    """Every number is the one in the document's row."""
    snapshot.visibility.gaps.clear()
    groups = Groups(snapshot, GROUPINGS[DEFAULT_GROUPING])
    for ranked in process_rows(snapshot, groups, netns_labels(snapshot, for_people=False)):
        name = ranked.row.name
        assert count(snapshot, name) == ranked.row.sockets
        tcp = ranked.row.tcp
        assert {state: count(snapshot, name, "tcp", state) for state in tcp} == tcp


@pytest.mark.parametrize(
    ("process", "protocol", "state", "words"),
    [
        ("", "", "", "no process named"),
        ("a", "sctp", "", "no protocol 'sctp': it is one of tcp, udp"),
        ("a", "TCP", "", "no protocol 'TCP'"),
        ("a", "", "listen", "a state needs a protocol"),
        ("a", "tcp", "bound", "no tcp state 'bound': it is one of listen, established"),
        ("a", "udp", "listen", "no udp state 'listen': it is one of bound, connected"),
        ("a", "tcp", "time_wait", "no tcp state 'time_wait'"),
        ("a", "tcp", "LISTEN", "no tcp state 'LISTEN'"),
    ],
)
def test_arguments(process: str, protocol: str, state: str, words: str) -> None:
    """Arguments that no process can have are wrong usage, and the message names the right ones."""
    with pytest.raises(UsageError, match=words):
        check_arguments(process, protocol, state)


def test_denied_by_another_name(nginx: Snapshot) -> None:
    """Whoever may not be inspected may belong to any unit: no number is known."""
    nginx.processes = [each._replace(unit=f"{each.name}.service") for each in nginx.processes]
    nginx.visibility.add_gap(gaps.DENIED, "sshd")
    assert count(nginx, "nginx", "tcp") == 17
    for name in ("nginx.service", "other.service"):
        with pytest.raises(SocketsError, match="1 processes can't be inspected"):
            count(nginx, name, "tcp", grouping=GROUPINGS["unit"])
