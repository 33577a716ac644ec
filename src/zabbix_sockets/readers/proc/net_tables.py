"""Reader of /proc/net/{tcp,tcp6,udp,udp6,unix}: the tables as text, for where netlink is not.

Source: proc(5), net/ipv4/tcp_ipv4.c get_tcp4_sock() and its siblings, net/unix/af_unix.c
unix_seq_show(). The files show the reader's own network namespace, to everybody. They have no
backlog, no device and no cookie; the last column of UDP's is what was dropped at a socket, which
TCP's don't have.

The tables are not consistent while sockets come and go: TCP rows may repeat, and UDP rows
may be missed or repeated at every read, since it resumes by position. Repeated TCP rows of
inode 0 are dropped here (the fold knows the others by their inode). UDP is read
until two reads in a row agree; if three don't, it is their union and approximate, and the
reader says so.
"""

import _socket
import os
import sys
from _collections_abc import Iterable, Iterator

from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import ParseError, SourceUnavailableError
from zabbix_sockets.model.light_typing import BinaryIO
from zabbix_sockets.model.wire import (
    INODE,
    LISTENING,
    UNIX,
    UNIX_TYPES,
    AddressToken,
    Drops,
    Encoding,
    SocketRow,
    Table,
    TcpState,
    UnixRow,
)

UDP_READS = 3
"""The most reads of a UDP table, two of which in a row have to agree."""
_READ_SIZE = 1 << 18
_NO_QUEUES = b"00000000:00000000"
_STATES = {b"%02X" % number: number for number in range(256)}
_LISTEN, _ESTABLISHED = LISTENING[UNIX], TcpState.ESTABLISHED


def decode_address(token: AddressToken) -> bytes:
    """Return the 4 or 16 bytes, in network order, of an address as /proc/net writes it.

    *token* is hexadecimal: 32-bit words in host byte order.

    Raises:
        ParseError: it is no such address.
    """
    try:
        words = bytes.fromhex(token.decode("ascii") if isinstance(token, bytes) else token)
    except ValueError as error:
        raise ParseError("address in /proc/net", token) from error
    if len(words) not in (4, 16):
        raise ParseError("address in /proc/net", token)
    if sys.byteorder == "big":
        return words
    return b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))


ENCODING = Encoding(
    address=decode_address,
    port=lambda port: port,
    wildcard={_socket.AF_INET: b"0" * 8, _socket.AF_INET6: b"0" * 32},
)
"""Addresses of rows are as the files write them, ports are numbers."""


def parse_table(lines: Iterable[bytes], source: str) -> Iterator[SocketRow]:
    """Yield the SocketRow of each line but for the column titles; *source* is the path for errors.

    A line is: slot, local address:port, remote, state, tx_queue:rx_queue, timer, retrnsmt,
    uid, timeout, inode, and more that is not used. A listener's rx_queue is its accept
    queue in connections; its backlog, which the files don't have, is -1.

    Raises:
        ParseError: a line has fewer fields, or others.
    """
    states = _STATES
    for line in lines:
        try:
            _, local, remote, st, queues, _, _, uid, _, inode, *_ = line.split(None, 10)
            state = states[st]
            if queues == _NO_QUEUES:
                receive_queue = send_queue = 0
            else:
                send, _, receive = queues.partition(b":")
                receive_queue, send_queue = int(receive, 16), int(send, 16)
            if state == _LISTEN:
                send_queue = -1
            yield (
                state,
                int(local[-4:], 16),
                int(remote[-4:], 16),
                local[:-5],
                remote[:-5],
                0,
                receive_queue,
                send_queue,
                int(uid),
                int(inode),
            )
        except (KeyError, ValueError) as error:
            raise ParseError(source, line) from error


_ACCEPTING = 0x10000  # __SO_ACCEPTCON, include/uapi/linux/net.h
_INODE_AT = 35  # behind the address; the columns before it have a fixed width
_SS_CONNECTING, _SS_CONNECTED = 2, 3  # socket_state of include/uapi/linux/net.h


def parse_unix(lines: Iterable[bytes]) -> Iterator[UnixRow]:
    """Yield the UnixRow of each line of a stream or seqpacket socket that listens or is connected.

    A line is: address, reference count, protocol, flags, type, state, inode, and the name if there
    is one. That is written as it is, with line feeds, and its NULs as "@". So what is no line of a
    socket is the end of the name before it, and is skipped; but who binds a socket to a name with a
    line feed can write a line of his own. Nothing tells peers, queues, uids, and which of two equal
    names is which.
    """
    for line in lines:
        _, _, fields = line.partition(b": ")
        head, (inode, _, name) = (
            fields[:_INODE_AT].split(),
            fields[_INODE_AT:].lstrip().partition(b" "),
        )
        try:
            _, _, flags, sock_type, state = (int(each, 16) for each in head)
            number = int(inode)
        except ValueError:
            continue
        if sock_type not in UNIX_TYPES:
            continue
        if name.startswith(b"@"):
            name = b"\0" + name[1:]
        if flags & _ACCEPTING:
            yield sock_type, _LISTEN, number, name, b"", 0, -1, -1, -1
        elif state == _SS_CONNECTED or (state == _SS_CONNECTING and not number):
            yield sock_type, _ESTABLISHED, number, name, b"", 0, -1, -1, -1


class ProcTables:
    """The socket tables of one network namespace, read from the folder *root*.

    Args:
        root: /proc/net for the caller's own namespace, /proc/PID/net for another process's.

    Attributes:
        approximate: the UDP tables that were read, but changed so fast that rows may be missing.
    """

    name = "procfs"

    def __init__(self, root: str = "/proc/net") -> None:
        self._root = root
        self.approximate: set[Table] = set()

    def read(self, table: Table, deadline: Deadline, drops: Drops) -> Iterator[Iterable[SocketRow]]:
        """Yield batches of *table*'s rows in all states, listeners (UDP: bound sockets) first.

        What was dropped at UDP sockets is added to *drops*.

        Raises:
            SourceUnavailableError: the file can't be opened or read.
            ParseError: a line can't be understood.
            DeadlineError: *deadline* has passed.
        """
        path = f"{self._root}/{table}"
        if table.protocol == "udp":
            return self._read_udp(table, path, deadline, drops)
        return self._read_tcp(path, deadline)

    def read_unix(self, deadline: Deadline) -> Iterator[list[UnixRow]]:
        """Yield batches of the unix sockets that listen or are connected, each with an inode once.

        Rows may be missing, and those without an inode may be repeated, if others come and go: the
        file resumes by position.

        Raises:
            SourceUnavailableError: the file can't be opened or read.
            DeadlineError: *deadline* has passed.
        """
        seen: set[int] = set()
        for lines in self._chunks(f"{self._root}/unix", deadline):
            rows = []
            for row in parse_unix(lines):
                if row[2] not in seen:
                    rows.append(row)
                    seen.add(row[2])
                    seen.discard(0)  # which is no inode
            yield rows

    def _read_tcp(self, path: str, deadline: Deadline) -> Iterator[Iterable[SocketRow]]:
        """Yield the rows of a TCP file; listeners come first, as the kernel walks them first."""
        without_inode: set[tuple[object, ...]] = set()
        for lines in self._chunks(path, deadline):
            rows = list(parse_table(lines, path))
            if any(not row[9] for row in rows):
                rows = [row for row in rows if row[9] or _first_time(row, without_inode)]
            yield rows

    def _read_udp(
        self, table: Table, path: str, deadline: Deadline, drops: Drops
    ) -> Iterator[Iterable[SocketRow]]:
        """Yield one batch of all rows of a UDP file, bound sockets first; add to *drops*."""
        union: dict[tuple[object, ...], SocketRow] = {}
        before = None
        for _ in range(UDP_READS):
            read: dict[tuple[object, ...], SocketRow] = {
                (*row[1:5], row[9]): row
                for lines in self._chunks(path, deadline)
                for row in _with_drops(lines, path, drops)
            }
            union |= read
            if read.keys() == before:
                union = read
                break
            before = read.keys()
        else:
            self.approximate.add(table)
        yield sorted(union.values(), key=lambda row: row[0] != TcpState.CLOSE)

    def _chunks(self, path: str, deadline: Deadline) -> Iterator[list[bytes]]:
        """Yield the file's lines without the column titles, some thousand at a time."""
        try:
            file = open(path, "rb", _READ_SIZE)  # noqa: SIM115  # closed below
        except FileNotFoundError as error:
            if path.endswith("6") and os.path.isdir(self._root):
                return
            raise SourceUnavailableError(f"{path} is not there") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        with file:
            partial, titles = b"", 1
            # A read(2) yields 4 KB whatever is asked for; the buffered read() collects many.
            while chunk := _read(file, path):
                deadline.check()
                lines = (partial + chunk).split(b"\n")
                partial = lines.pop()
                yield lines[titles:]
                titles = 0 if lines else titles
            if partial:
                raise ParseError(path, partial)


def _read(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(_READ_SIZE)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> SourceUnavailableError:
    return SourceUnavailableError(f"{path} can't be read: {os.strerror(error.errno or 0)}")


def _with_drops(lines: list[bytes], source: str, drops: Drops) -> Iterator[SocketRow]:
    """Yield the rows of a UDP file as parse_table(); add the last column of each to *drops*.

    Raises:
        ParseError: as parse_table().
    """
    for line, row in zip(lines, parse_table(lines, source)):
        try:
            drops[row[INODE]] = int(line.split()[-1])
        except ValueError as error:
            raise ParseError(source, line) from error
        yield row


def _first_time(row: SocketRow, seen: set[tuple[object, ...]]) -> bool:
    key = row[:5]
    if key in seen:
        return False
    seen.add(key)
    return True
