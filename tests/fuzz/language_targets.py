"""Targets: what people and agents write, and names that anybody chooses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from expressions import Expressions, Values

from zabbix_sockets.command import arguments
from zabbix_sockets.command.verbs import VERBS, parse_plain
from zabbix_sockets.document.count import check_arguments, count
from zabbix_sockets.document.document import build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.document.map_texts import MAX_BYTES
from zabbix_sockets.document.record import JsonObject
from zabbix_sockets.filters.bytecode import MAX_BYTES as MAX_PROGRAM
from zabbix_sockets.filters.evaluate import OwnerMatcher, RowContext, compile_test
from zabbix_sockets.filters.kernel import dump_for, in_table
from zabbix_sockets.filters.parser import parse
from zabbix_sockets.filters.terms import Leaf, NameCondition, Node, UserCondition, rewrite
from zabbix_sockets.model import names
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.model.owners import Owners
from zabbix_sockets.model.snapshot import FIRST_OWNER, Namespace, Process
from zabbix_sockets.model.text_width import text_width
from zabbix_sockets.provision.credentials import read_secret
from zabbix_sockets.provision.frontend import parse_frontend
from zabbix_sockets.provision.interfaces import parse_interface
from zabbix_sockets.provision.macros import identity, parse_macro
from zabbix_sockets.provision.options import parse_host
from zabbix_sockets.readers.sock_diag.messages import ENCODING
from zabbix_sockets.sending.lines import Value, encode_line
from zabbix_sockets.service_map.options import parse_alias, parse_tag
from zabbix_sockets.service_map.told import parse_told
from zabbix_sockets.terminal.clients import parse_listener
from zabbix_sockets.terminal.layout import Column, Style, render_table
from zabbix_sockets.terminal.tables import render

from ..unit.filters.trees import check  # noqa: TID252
from ..unit.sending.test_lines import fields  # noqa: TID252
from ..unit.snapshots import inbound, outbound, snapshot_of, tcp_listener  # noqa: TID252
from .target import Target, pieces, written

_ROW = (1, 0x1600, 0xBB01, b"\x7f\0\0\1", b"\xc0\0\2\5", 2, 5, 7, 1000, 77)
_ROW6 = (10, 0x1600, 0, bytes(16), bytes(16), 0, 5, 7, 0, 78)


def filters(data: bytes) -> None:
    """Parse an expression, make the kernel's program of it, and ask it of rows."""
    text = data.decode("utf-8", "surrogateescape")
    found = parse(text)
    node = rewrite(found.node, _looked_up)
    for family, row in ((2, _ROW), (10, _ROW6)):
        dump = dump_for(in_table(node, family), 0xFFFF)
        assert len(dump.program) <= MAX_PROGRAM
        if dump.program:
            check(dump.program)
        test = compile_test(node, RowContext(family, ENCODING, OwnerMatcher(Owners())))
        opposite = compile_test(
            rewrite(node, positive=False), RowContext(family, ENCODING, OwnerMatcher(Owners()))
        )
        assert test(row, 5, 7) != opposite(row, 5, 7)


def _looked_up(leaf: Leaf, _positive: bool) -> Node:
    return UserCondition(33) if isinstance(leaf, NameCondition) else leaf


def _filter_seeds() -> Iterator[bytes]:
    values = Values([22, 443], ["10.0.0.1", "[::1]"], ["eth0"], [7], ["/system.slice"])
    others = (*("pid = 7", "user www-data", "netns web"), "process 'a b'", "not (state big)")
    made = Expressions(1, values._replace(others=others))
    for _ in range(30):
        yield made.whole().encode()
    yield b"src 10.0.0.0/8:ssh or dst [fe80::/10]:0x16 & fwmark != 0x1/0xff | sport >= :1024"


def parameters(data: bytes) -> None:
    """Ask for a count, a list or a document as an agent does; "," is between the parameters."""
    given = [os.fsdecode(each) for each in data.replace(b"\0", b"").split(b",")][:5]
    parse_plain([_AGENT_VERBS[len(data) % len(_AGENT_VERBS)], "--", *given])
    for verb in _AGENT_VERBS:
        parse_plain([verb, *given])
    process, protocol, state = (*given, "", "", "")[:3]
    check_arguments(process, protocol, state)
    assert count(_HOST, process, protocol, state) >= 0


_AGENT_VERBS = ("get", "discover", "count")
_HOST = snapshot_of(
    [Process(7, "nginx", 100.0), Process(8, names.safe_name(b'a "b"~' * 20), 100.0)],
    listeners=[tcp_listener(FIRST_OWNER, 80)],
    connections={inbound(FIRST_OWNER, 80): 3, outbound(FIRST_OWNER + 1, 443): 2},
)


def command_line(data: bytes) -> None:
    """Parse a command line; a line feed is between the arguments."""
    words = [os.fsdecode(each) for each in data.replace(b"\0", b"").split(b"\n")]
    words = [each for each in words if each not in ("--help", "-h", "--version")]
    with suppress(SystemExit):
        arguments.parse(words)


def _command_seeds() -> Iterator[bytes]:
    for verb in VERBS:
        yield verb.replace(" ", "\n").encode()
    yield b"show\nsockets\n--tcp-info\n--interval\n2\n--filter\ndport = 443\n--json\n--sort\nRTT"
    yield b"get\n--source\nbpf\n--timeout\n2.5\n--max-bytes\n500000\n--group-by\nunit\n--\nprocess"
    yield b"send\n--interval\n60\n--server\na,b\n--host\nweb1\n--values\n--spool-bytes\n5"
    yield b"provision\nhttps://z.example\n--host\nweb\n--interface\n192.0.2.1:10050\n--macro\nA=b"
    yield b"provision\nmap\nshop\n--url\nhttps://z.example\n--alias\n192.0.2.0/24=x\n--tag\na=b"


def options(data: bytes) -> None:
    """Give a text to the parser of an option that the first byte chooses."""
    parsers: tuple[Callable[[str], object], ...] = (
        parse_listener,
        parse_frontend,
        parse_interface,
        parse_macro,
        identity,
        parse_host,
        parse_alias,
        parse_tag,
    )
    if data:
        parsers[data[0] % len(parsers)](os.fsdecode(data[1:]))


def _option_seeds() -> Iterator[bytes]:
    texts = (
        *(
            "tcp/0.0.0.0:443",
            "https://z.example:8443/zabbix/api_jsonrpc.php",
            "[2001:db8::1]:10050",
        ),
        *('{$A:regex:"a\\"b"}=c', '{$SOCKETS.X:"a b"}', "web 1.x-y_z", "192.0.2.0/24=Payments"),
        "tag=value",
    )
    for number, text in enumerate(texts):
        yield bytes([number]) + text.encode()


def secret(data: bytes) -> None:
    """Read a file with a token or a password."""
    path = written("secret", data)
    os.chmod(path, 0o600)
    read_secret(path, lambda _: None)


def safe_names(data: bytes) -> None:
    """Make a name safe, and find it again by the spellings of it that an agent takes."""
    name = names.safe_name(data)
    assert 0 < len(name) <= names.MAX_LENGTH
    assert name.isprintable()
    assert not names._ESCAPED.difference("%~").intersection(name)
    parameter = names.as_parameter(name)
    assert names._PLAIN.issuperset(parameter)
    assert names.from_parameter(os.fsencode(parameter), {name, "nginx"}) == name
    assert names.from_parameter(os.fsencode(name), {name, "nginx"}) == name
    unix = names.unix_name(data)
    assert len(unix) <= names.MAX_UNIX_LENGTH
    assert "@" not in unix[1:]
    names.is_autobound(data)


_NO_DEVICE = b"/: \t\n\v\f\r"
"""What the kernel takes in no device's name (dev_valid_name())."""


def hostile_names(data: bytes) -> None:
    """Have a process, a container and a device of any name in a document, texts and a table."""
    process, container, device = pieces(data, 3)
    device = device.translate(None, _NO_DEVICE)
    names_ = [names.safe_name(each) for each in (process, container, device)]
    snapshot = snapshot_of(
        [Process(7, names_[0], 3600.0)],
        listeners=[tcp_listener(FIRST_OWNER, 80)._replace(netns=9, device=names_[2])],
        connections={outbound(FIRST_OWNER, 443): 2},
    )
    snapshot.namespaces = {9: Namespace(names_[1], container=names_[1])}
    snapshot.addresses = []
    document = build_document(snapshot)
    to_json(document)
    assert document.map
    told = parse_told(document.map.listeners, document.map.upstreams)
    assert len(document.map.listeners.encode()) <= MAX_BYTES
    assert [each.row for each in told.listeners] == [each.id for each in document.listeners]
    assert [each.process for each in told.upstreams] == [
        each.process for each in document.upstreams
    ]
    for kind in ("processes", "listeners", "upstreams"):
        shown = render(kind, document.rows_of(kind), Style(colours=False, width=100))
        assert all(line.isprintable() for line in shown.split("\n"))


def tables(data: bytes) -> None:
    """Draw a table of any printable cells; the first byte is the terminal's width."""
    text = data[1:].decode("utf-8", "replace")
    cells = ["".join(filter(str.isprintable, each)) for each in text.split("\n")][:12]
    rows: list[JsonObject] = [{"name": each, "n": len(each), "place": cells[0]} for each in cells]
    width = 40 + (data or b"\0")[0]
    shown = render_table(_COLUMNS, rows, Style(colours=False, width=width))
    assert all(text_width(line) <= width for line in shown.splitlines())


_COLUMNS = (
    Column[JsonObject]("NAME", lambda row: row["name"], shrinks=True, port=True),
    Column[JsonObject]("N", lambda row: row["n"], right=True),
    Column[JsonObject]("PLACE", lambda row: row["place"], shrinks=True),
)


def lines(data: bytes) -> None:
    """Make a line for zabbix_sender, and read it as that program does."""
    host, key, text = (each.decode("utf-8", "surrogateescape") for each in pieces(data, 3))
    line = encode_line(Value(host, key, 7, 5, text))
    assert line.endswith(b"\n")
    assert fields(line) == [host, key, "7", "5", text]


TARGETS = {
    "filter": Target(filters, _filter_seeds, (SocketsError,), 600),
    "agent_parameters": Target(
        parameters, lambda: [b"nginx,tcp,established", b"a %22b%22%-,udp", b"unit,all", b"x,,"]
    ),
    "command_line": Target(command_line, _command_seeds, (SocketsError,), 300),
    "option": Target(options, _option_seeds, (SocketsError, ValueError), 600),
    "secret": Target(secret, lambda: [b"a-token\n", b"\xef\xbb\xbfa\r\n"]),
    "safe_name": Target(
        safe_names, lambda: [b"nginx", "naïve \u202e".encode(), b"\0a%41~(\\", b"x" * 70], (), 300
    ),
    "hostile_names": Target(
        hostile_names, lambda: [b"a b\xffshop/web\xffeth0", b"(x)\t\n\xff@\xff%"], (), 300
    ),
    "terminal_table": Target(
        tables, lambda: ["\x28[fe80::1%eth0]:80@web\nnaïve 日本\ntcp/1:2".encode()], (), 600
    ),
    "sender_line": Target(lines, lambda: [b'web 1\xffa["b\\c"]\xff{"x": 1}', b"h\xffk\xff\na\n"]),
}
