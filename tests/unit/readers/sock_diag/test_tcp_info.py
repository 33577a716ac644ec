"""struct tcp_info: captured bytes, cut as older kernels would, and whatever else may come."""

import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.model.errors import ParseError
from zabbix_sockets.model.socket import TcpInfo
from zabbix_sockets.model.wire import SocketRow, Table
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.sock_diag.attributes import INET_DIAG_CONG, INET_DIAG_INFO
from zabbix_sockets.readers.sock_diag.messages import (
    CgroupRow,
    decode_measured,
    decode_with_messages,
    encode_request,
)
from zabbix_sockets.readers.sock_diag.tcp_info import (
    decode_details,
    decode_information,
    decode_tcp_info,
)

from .messages import attribute, cgroup, done, encode_row

CAPTURE = Path(__file__).parents[2] / "captures/linux-6.18/inet_diag-tcp_info.bin"
SHUTDOWN, MARK = 8, 15
CAPTURED_SENDER = TcpInfo(  # rtt:0.008/0.003 cwnd:18 delivery_rate 56524800000bps lastsnd:1220
    *(8, 3, None, 5, 18, None, 0, 0, 0, 0, 0, 70000, 70001, 0, 0, 7065600000, 0, 0, 0),
    *(1212, 1296, "bbr"),
)
AF_INET = int(socket.AF_INET)
TCP = Table("tcp", AF_INET)
FIELDS = {
    "timeouts": (2, "=B"),
    "unacked": (24, "=I"),
    "rtt_us": (68, "=I"),
    "retransmits": (100, "=I"),
    "min_rtt_us": (148, "=I"),
    "sender_buffer_limited_us": (184, "=Q"),
    "bytes_retransmitted": (208, "=Q"),
}


def row(inode: int) -> SocketRow:
    """Return an established connection, told by its inode."""
    return (1, 80, 4000, b"\x7f\0\0\1", b"\x7f\0\0\1", 0, 0, 0, 0, inode)


def info_bytes(length: int = 248) -> bytes:
    """Return a tcp_info in which each byte pair has a number of its own."""
    return struct.pack("=124H", *range(1, 125))[:length]


@pytest.mark.parametrize("length", [0, 2, 3, 60, 104, 136, 160, 192, 200, 216, 232, 248, 300])
def test_fields_by_the_length_received(length: int) -> None:
    """What an older kernel's shorter struct has not is None, and all else is there."""
    data = info_bytes().ljust(length, b"\1")[:length]
    info = decode_tcp_info(data)._asdict()
    for name, (at, form) in FIELDS.items():
        whole = at + struct.calcsize(form) <= length
        assert info[name] == (struct.unpack_from(form, data, at)[0] if whole else None)


def test_no_sample_is_no_zero() -> None:
    """Before the first sample there is no rtt, whatever variance the kernel starts with."""
    data = bytearray(248)
    struct.pack_into("=I", data, 72, 250_000)
    struct.pack_into("=I", data, 76, 0x7FFFFFFF)
    struct.pack_into("=I", data, 148, 0xFFFFFFFF)
    info = decode_tcp_info(bytes(data))
    absent = {name for name, value in info._asdict().items() if value is None}
    assert absent == {
        *("rtt_us", "rtt_variance_us", "receive_rtt_us", "min_rtt_us", "slow_start_threshold"),
        *("delivery_rate_bytes_per_s", "congestion_control"),
    }


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    """Whatever comes is a TcpInfo of numbers that are not negative."""
    info = decode_tcp_info(data)
    assert all(value is None or value >= 0 for value in info[:-1])


@given(st.binary(max_size=400))
def test_any_message(data: bytes) -> None:
    """Behind inet_diag_msg whatever comes gives details or an error of ours."""
    try:
        cookie, info = decode_details(bytes(88) + data)
    except ParseError:
        return
    assert cookie == 0
    assert info is None or isinstance(info, TcpInfo)


def test_captured_dump() -> None:
    """A real answer: fields, algorithm and cookies, as ss showed them at that moment."""
    data = CAPTURE.read_bytes()
    found = [
        (each, *decode_details(whole))
        for batch in decode_with_messages(memoryview(data), AF_INET)
        for each, whole in batch or ()
    ]
    informed = [info for each, _, info in found if info and each[0] == 1]
    assert len({cookie for _, cookie, _ in found}) == len(found)
    sender = max(informed, key=lambda info: info.bytes_sent or 0)
    assert sender == CAPTURED_SENDER
    measured = [
        figures
        for batch in decode_measured(memoryview(data), AF_INET)
        for each, figures in (zip(*batch) if batch else ())
        if each[0] == 1
    ]
    assert [(each[5], each[6]) for each in measured] == [
        (info.rtt_us or 0, info.retransmits) for info in informed
    ]


@pytest.mark.parametrize("length", [60, 104, 192, 232, 248])
@pytest.mark.parametrize("before", [b"", attribute(SHUTDOWN, b"\0")])
def test_figures(length: int, before: bytes) -> None:
    """The figures that the document needs, by the length received; none of a cut struct."""
    data = info_bytes(length)
    message = encode_row(
        row(7), AF_INET, attributes=before + attribute(INET_DIAG_INFO, data) + cgroup(5)
    )
    (batch,) = decode_measured(memoryview(message * 3), AF_INET)
    assert batch
    rows, figures = batch
    wanted = [(2, "=B"), *((at, "=I") for at in (32, 36, 44, 52, 68, 100))]
    wanted += [(at, "=Q") for at in (176, 184)] if length >= 192 else []
    if length < 104:
        wanted = []
    expected = tuple(struct.unpack_from(form, data, at)[0] for at, form in wanted)
    found = list(zip((each[9] for each in rows), figures))
    assert found == [(7, expected)] * 3


@given(st.lists(st.sampled_from(["info", "late", "none", "other"]), max_size=12))
def test_messages_of_one_length(kinds: list[str]) -> None:
    """Equally long messages may still differ: each one's figures are its own."""
    messages, expected = [], []
    size = len(attribute(INET_DIAG_INFO, info_bytes()))
    for number, kind in enumerate(kinds, 1):
        data = bytearray(info_bytes())
        struct.pack_into("=I", data, 68, number)
        info, mark = attribute(INET_DIAG_INFO, bytes(data)), attribute(MARK, bytes(4))
        attributes = {
            "info": info + mark,
            "late": mark + info,
            "none": attribute(SHUTDOWN, bytes(size + 4)),
            "other": mark + attribute(SHUTDOWN, bytes(size - 4)),
        }[kind]
        messages.append(encode_row(row(number), AF_INET, attributes=attributes))
        expected.append((number, number if kind in ("info", "late") else None))
    found = [
        (each[9], figures[5] if figures else None)
        for batch in decode_measured(memoryview(b"".join(messages) + done()), AF_INET)
        for each, figures in (zip(*batch) if batch else ())
    ]
    assert found == expected


def test_cgroups_come_with_the_figures() -> None:
    """Who owns a socket by its cgroup is noted in the same pass."""
    message = encode_row(
        row(7), AF_INET, attributes=attribute(INET_DIAG_INFO, info_bytes()) + cgroup(5)
    )
    noted: list[tuple[int, int]] = []

    def note(pairs: Iterable[CgroupRow]) -> Iterator[SocketRow]:
        for number, each in pairs:
            noted.append((number, each[9]))
            yield each

    (batch,) = decode_measured(memoryview(message), AF_INET, note)
    assert batch
    assert len(list(zip(*batch))) == 1
    assert noted == [(5, 7)]


def test_request_asks_for_no_more_than_is_wanted() -> None:
    """Extensions are bits of idiag_ext, and 0 by default."""
    assert encode_request(TCP, 1)[18] == 0
    assert encode_request(TCP, 1, (INET_DIAG_INFO, INET_DIAG_CONG))[18] == 0b1010


def test_records_of_the_iterator() -> None:
    """The same struct, with inode, cookie and the algorithm's name."""
    data = records.INFORMATION.pack(99, 7, b"cubic\0\0\0junk", info_bytes(216))
    informed = decode_information(records.INFORMATION.iter_unpack(data * 2))
    assert informed == {7: (99, decode_tcp_info(info_bytes(216), "cubic"))}
