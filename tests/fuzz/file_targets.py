"""Targets: files of systemd, of Zabbix, of administrators, and of an earlier call."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from zabbix_sockets.configuration import load
from zabbix_sockets.document.admission import _HEADER, _SLOT, SIZE, AdmissionTable, CallMoment
from zabbix_sockets.grouping.rules import Facts, RuleNames
from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.units import find_services
from zabbix_sockets.host.zabbix_config import Syntax, read_config
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.readers.socket_units import read_socket_units
from zabbix_sockets.sending.agent_config import read_agent_config
from zabbix_sockets.sending.ledger import Ledger, forget_abandoned
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import Spool, _unpacked
from zabbix_sockets.service_map.state import read_state, write_state

from ..unit.document.test_admission import everybody, listener, process, upstream  # noqa: TID252
from .target import Target, folder, pieces, written

_UNIT = Path(__file__).parents[1] / "unit"
_PODMAN = _UNIT / "captures/podman-4.3"
_DOCKER = _UNIT / "captures/docker-20.10/config.v2.json"
_SHARED = Path(__file__).parents[2] / "conf"
_ID = "0123456789abcdef" * 4
NOW = 1_700_000_000


def socket_units(data: bytes) -> None:
    """Read socket units: an instance of a template, with a drop-in."""
    root = f"{folder()}/root"
    units = f"{root}/etc/systemd/system"
    for each in (f"{root}/run/systemd/system", f"{units}/a@.socket.d", f"{units}/web.socket.d"):
        os.makedirs(each, exist_ok=True)
    template, drop_in = pieces(data, 2)
    for name in ("web.socket", "a@b.socket", "a@.socket.d/x.conf"):
        written(f"root/etc/systemd/system/{name}", drop_in if "/" in name else template)
    for (protocol, address, port, _), name in read_socket_units(Deadline(1e9), root).items():
        assert protocol in ("tcp", "udp", "unix")
        assert isinstance(address, bytes)
        assert 0 <= port < 65536
        assert name.isprintable()


def _socket_seeds() -> Iterator[bytes]:
    yield (
        b"[Unit]\nDescription=x\n[Socket]\nListenStream=22\nListenDatagram=[::1]:53\n"
        b"ListenStream=/var/run/%p-%i.sock\nListenSequentialPacket=@abstract\n"
        b"ListenStream=192.0.2.1:80\\\n\nListenStream=fe80::1%%eth0:80\nBindToDevice=eth0\n"
        b"\xff[Socket]\nListenStream=\nListenStream=[fe80::1%eth0]:443\n# x\n"
    )


def services(data: bytes) -> None:
    """Read a service unit with a drop-in."""
    root = f"{folder()}/root"
    os.makedirs(f"{root}/etc/systemd/system/x@.service.d", exist_ok=True)
    unit, drop_in, environment = pieces(data, 3)
    written("root/etc/systemd/system/x@.service", unit)
    written("root/etc/systemd/system/x@.service.d/x.conf", drop_in)
    written("root/etc/environment-of-x", environment)
    wanted = f"{root}/etc/systemd/system/multi-user.target.wants"
    os.makedirs(wanted, exist_ok=True)
    if not os.path.lexists(f"{wanted}/x@one.service"):
        os.symlink("/etc/systemd/system/x@.service", f"{wanted}/x@one.service")
    find_services("", root)


def _service_seeds() -> Iterator[bytes]:
    yield (
        b"[Service]\nEnvironmentFile=-/etc/environment-of-x\nEnvironment=A=b 'C=d e'\nUser=zabbix\n"
        b'ExecStart=/usr/sbin/x -c ${CONF} "a b" %i $A\nSupplementaryGroups=a b\n'
        b"WorkingDirectory=~\n\xff[Service]\nExecStart=\nExecStart=-@/bin/y y %%\n"
        b"\xffCONF=/etc/x.conf\n# c\nB='a\n"
    )


def accounts(data: bytes) -> None:
    """Read the users and groups of a host."""
    root = f"{folder()}/root"
    os.makedirs(f"{root}/etc", exist_ok=True)
    for name, content in zip(("passwd", "group"), pieces(data, 2)):
        written(f"root/etc/{name}", content)
    found = Accounts(root)
    user = found.user("zabbix")
    if user:
        assert found.groups_of(user)
    found.is_private("zabbix", ["zabbix"])


def _account_seeds() -> Iterator[bytes]:
    yield (
        b"root:x:0:0:root:/root:/bin/bash\nzabbix:x:110:115::/var/lib/zabbix:/bin/false\n+::::::\n"
        b"\xffroot:x:0:\nzabbix:x:115:zabbix,alice\nadm:x:4:zabbix\n"
    )


def configuration(data: bytes) -> None:
    """Read a configuration file, and name groups by its rules."""
    path = written("zabbix-sockets.toml", data)
    found = load(path, required=True)
    if all(len(each.pattern) < 60 for rule in found.groups for _, each in rule.expressions):
        facts = Facts("nginx", "nginx: worker", "nginx.service", "web", "www-data")
        for name in RuleNames(found.groups).of([(facts, 33), (Facts("a"), 1000)]):
            assert name.isprintable()


def _configuration_seeds() -> Iterator[bytes]:
    yield (_SHARED / "zabbix-sockets.toml").read_bytes()[:3000]
    yield (
        b"filter = 'dport = 443'\nclients = true\n[map.aliases]\n\"192.0.2.0/24\" = 'Payments'\n"
        b"[[group]]\nname = '\\1 \\g<app>'\nprocess = '^(java)$'\ncommand = '-Dapp=(?P<app>\\w+)'\n"
        b'[[group]]\nname = "a"\nunit = """x"""\nuser = \'root\'\n'
    )
    yield b"group = [{name = 'a', process = 'b', bogus = [1, {a = 2}]}, 7]\n"
    yield b"[group]\nname = 1\n"
    yield b"map = {aliases = {a.b = 'c'}}\nfilter = \"dport = \\u0034\"\n"


def zabbix_config(data: bytes) -> None:
    """Read the configuration of a Zabbix program, which includes itself and its folder."""
    main, other = pieces(data, 2)
    os.makedirs(f"{folder()}/zabbix.d", exist_ok=True)
    path = written("zabbix.conf", main)
    written("zabbix.d/a.conf", other)
    for wildcards in ("*", "*?["):
        found = read_config(path, Syntax(wildcards, folder))
        assert all(each.path for each in found.settings)
        assert found.files
    read_agent_config(path)


def _zabbix_seeds() -> Iterator[bytes]:
    main = (
        b"# x\nServerActive=a, b;c\nHostname=web1 ,x\nTimeout = 3\nInclude=zabbix.d\n"
        b"Include=./zabbix.d/*.conf\nUserParameter=a[*],b $1\n"
    )
    yield main + b"\xffHostname=\nHostnameItem=x\n"
    yield main + b"\xffInclude=zabbix.d/[a-c]?b\nInclude=/nowhere/*\n"


_VALUE = Value("web1", "sockets.get", NOW, 5, '{"a": 1}')


def packet(data: bytes) -> None:
    """Unpack a document that waits in the spool, as the database has it or packed here."""
    for content in (data, zlib.compress(data, 1)):
        try:
            _unpacked(content)
        except (zlib.error, ValueError, TypeError):
            pass


def spool(data: bytes) -> None:
    """Use a spool and a ledger whose file is any database."""
    path = written("spool.sqlite", data)
    try:
        _use_ledger(path)
        found = Spool(path, 2000)
        try:
            _use_spool(found)
        finally:
            with suppress(Exception):
                found.close()
    finally:
        for each in os.listdir(folder()):
            if each.startswith("spool.sqlite"):
                os.unlink(f"{folder()}/{each}")


def _use_spool(found: Spool) -> None:
    for waiting in found.all("a"):
        found.remove(waiting.number)
    found.lines("a")
    found.state()
    found.state("a")
    found.add([("a", [_VALUE])])
    found.tidy(["a"], NOW)
    found.oldest("b")


def _use_ledger(path: str) -> None:
    ledger = Ledger(path, "a")
    ledger.known()
    ledger.names()
    ledger.awaited(NOW)
    ledger.is_due("x", NOW)
    ledger.learn("x", 1, 2, NOW)
    ledger.see(["x"], NOW)
    ledger.save()
    forget_abandoned(path, ["a"], NOW)


def _spool_seeds() -> Iterator[bytes]:
    path = f"{folder()}/new.sqlite"
    for name in ("new.sqlite", "new.sqlite.lock"):
        with suppress(FileNotFoundError):
            os.unlink(f"{folder()}/{name}")
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA page_size=512")
        database.execute("VACUUM")
    made = Spool(path, 10_000)
    made.add([(each, [_VALUE]) for each in ("a", "a\nx", "b")])
    made.tidy(["a", "b"], NOW - 86_400 * 8)
    made.close()
    for strange in ("", "'x'", "x'00ff'", "-1e300"):
        with closing(sqlite3.connect(path)) as database:
            if strange:
                database.execute(f"UPDATE waiting SET clock = {strange} WHERE destination = 'b'")
                database.execute(f"INSERT OR REPLACE INTO dropped VALUES ('a', {strange})")
                database.execute(f"INSERT OR REPLACE INTO used VALUES ('b', {strange})")
            database.commit()
        _use_ledger(path)
        yield Path(path).read_bytes()


def admission(data: bytes) -> None:
    """Read a table of the rows that were admitted, see rows and admit others."""
    head, slots = data[: _HEADER.size], data[_HEADER.size :]
    kept = (head.ljust(_HEADER.size, b"\0") + slots)[:SIZE].ljust(SIZE, b"\0")
    for time in (NOW, NOW + 86_400 * 20):
        table = AdmissionTable(kept, CallMoment(time, 1000, b"b" * 16))
        for name, make in _ROWS.items():
            rows = [make(number) for number in range(5)]
            table.see(name, rows)
            table.admit(name, rows, everybody())
        assert len(table.data) == SIZE
        AdmissionTable(bytes(table.data), CallMoment(time, 1000, b"b" * 16))


_ROWS: dict[str, Any] = {
    "processes": lambda number: process(f"p{number}"),
    "listeners": listener,
    "upstreams": upstream,
}


def _admission_seeds() -> Iterator[bytes]:
    table = AdmissionTable(None, CallMoment(NOW, 1000, b"b" * 16))
    for name, make in _ROWS.items():
        rows = [make(number) for number in range(3)]
        table.see(name, rows)
        table.admit(name, rows, everybody())
    yield bytes(table.data[: _HEADER.size + 4 * _SLOT.size])
    yield b"\0" * 8
    yield bytes(table.data[: _HEADER.size]) + _SLOT.pack(b"x" * 16, 1, 0xFFFFFFFF, 1 << 31) * 3


def map_state(data: bytes) -> None:
    """Read the state file of a map, and write it again."""
    path = written("map.json", data)
    found = read_state(path)
    with suppress(UnicodeEncodeError):  # half of a surrogate, in a file that JSON has escaped
        write_state(path, found)
        assert read_state(path) == found


def _state_seeds() -> Iterator[bytes]:
    sheet = {"elements": {"a": 5}, "lines": {"a\tb": 7}, "links": {"a\tb": "9"}}
    sheet["labels"] = {"a": ["x", 5]}
    yield json.dumps({"version": 1, "sheets": {"m": sheet}}).encode()


TARGETS = {
    "socket_units": Target(socket_units, _socket_seeds, ()),
    "services": Target(services, _service_seeds, ()),
    "accounts": Target(accounts, _account_seeds, ()),
    "configuration": Target(configuration, _configuration_seeds),
    "zabbix_config": Target(zabbix_config, _zabbix_seeds),
    "spool_packet": Target(packet, lambda: [json.dumps([_VALUE]).encode()]),
    "spool": Target(spool, _spool_seeds, longest=16384),
    "admission": Target(admission, _admission_seeds, ()),
    "map_state": Target(map_state, _state_seeds),
}
