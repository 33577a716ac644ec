"""What is measured side by side, and how each answer is checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from tests.bench.iterators import Pins
from tests.bench.measure import AS_CALLER

INTERPRETER = "interpreter"
INTERPRETER_ORJSON = "interpreter_orjson"
RECORDS = "iterator_records"
REST = "netlink_rest"
WITHOUT = "_without_tcp_info"
CLIENTS = "_with_clients"
BEFORE = "_before"  # the same call of the version that --against names
SOURCES = {  # what `get --source` takes, and the bounds of each
    "bpf": (RECORDS, INTERPRETER_ORJSON),
    "sock_diag": ("netlink_receive", "fd_readlink"),
    "procfs": ("procnet_read", "fd_readlink"),
}
MILLION = 1_000_000
NOBODY = 65534
BPF_BOUNDS_OF_A_MILLION = (RECORDS, REST)
PROCNET_ROW_BYTES = 150
# What the product asks netlink for beside the iterator: the states in which TCP sockets may have
# no descriptor and LISTEN, of both families at once, and UDP. See collector/iterator/unseen.py
# and readers/sock_diag/tables.py.
REST_OF_TABLES = ("udp=0x80", "udp=0x02", "both=0xe78")
LSFD = "(PROTONAME =~ 'TCP.*') or (PROTONAME =~ 'UDP.*')"
PSUTIL = """
import psutil
names = {process.pid: process.info["name"] for process in psutil.process_iter(["name"])}
print(len([(row, names.get(row.pid)) for row in psutil.net_connections("inet")]))
"""

Check = Callable[[str, int], str]


class WrongAnswerError(Exception):
    """A candidate that ended well but did not do the work."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One command to measure.

    Attributes:
        name: The name in the table and in --only.
        command: The command; empty when it can't be run here.
        bounds: The candidates whose sum it can't beat.
        bounds_of_a_million: The same from a million sockets on, where others weigh; empty: no
            others.
        check: Takes stdout and the number of sockets there are; returns a note for the table
            or raises WrongAnswerError. None: its output is thrown away.
        none_found: The exit code that means that there are no sockets.
        why_not: Why there is no command; empty: it is not installed.
        scenario: The one in which it runs; empty: everywhere.
        idle: Whether it runs only where there are no sockets.
        uid: The user that runs it, without capabilities; AS_CALLER: the bench's own.
    """

    name: str
    command: tuple[str, ...]
    bounds: tuple[str, ...] = ()
    check: Check | None = None
    none_found: int = 0
    bounds_of_a_million: tuple[str, ...] = ()
    why_not: str = ""
    scenario: str = ""
    idle: bool = False
    uid: int = AS_CALLER

    def bounds_at(self, sockets: int) -> tuple[str, ...]:
        """Return the bounds with so many sockets."""
        return (sockets >= MILLION and self.bounds_of_a_million) or self.bounds

    def runs(self, scenario: str, sockets: int) -> bool:
        """Whether it is one of those that are measured with that load."""
        return self.scenario in {"", scenario} and not (self.idle and sockets)


@dataclass(frozen=True, slots=True)
class Version:
    """An installed version of the product: its interpreter, and where its iterators are pinned."""

    python: str
    pins: Pins


def candidates(
    now: Version, before: Version | None, programs: Mapping[str, str]
) -> list[Candidate]:
    """All candidates.

    *now* is what is measured, with psutil beside it; *before*, if any, is what it is compared
    with: each of its calls follows the same call of *now*. *programs* are the compiled bounds,
    whose iterators are pinned with those of *now*.
    """
    python, pins = now.python, now.pins
    bare = os.path.realpath(python)
    procfs = SOURCES["procfs"]
    return [
        *_by_turns(now, before),
        _peer("ss", ("ss", "-tunapH"), SOURCES["sock_diag"]),
        _in_each_namespace("ss_in_each", "ss -tunapH"),
        _peer("netstat", ("netstat", "-tunap"), procfs),
        _peer("lsof", ("lsof", "-nP", "-i"), procfs, none_found=1),
        _peer("lsfd", ("lsfd", "-nQ", LSFD), procfs),
        Candidate("psutil", _python(python, "psutil", "-c", PSUTIL), procfs, _at_least(1)),
        _bound(programs, "netlink_receive", 1),
        _bound(programs, "procnet_read", PROCNET_ROW_BYTES),
        _bound(programs, "fd_readlink", 1),
        _visit(programs, "iterator_nothing", pins, _at_least(1)),
        _visit(programs, RECORDS, pins, _at_least(pins.record_size, field=2)),
        Candidate(REST, (programs["netlink_receive"], *REST_OF_TABLES), check=_at_least(0)),
        Candidate(INTERPRETER, (bare, "-I", "-S", "-c", "pass")),
        Candidate(INTERPRETER_ORJSON, _launched(python, "orjson", "import orjson")),
    ]


def versions(python: str) -> dict[str, str]:
    """Return what each of the peers says of its version; none of those that are not installed."""
    psutil = _python(python, "psutil", "-c", "import psutil; print(psutil.__version__)")
    asked = {
        "iproute2": ("ss", "-V"),
        "net-tools": ("netstat", "--version"),
        "lsof": ("lsof", "-v"),
        "util-linux": ("lsfd", "--version"),
        "psutil": psutil,
    }
    said = {
        name: subprocess.run(command, capture_output=True, text=True, check=False)
        for name, command in asked.items()
        if command and shutil.which(command[0])
    }
    numbers = {
        name: re.search(r"\d+(\.\d+)+", done.stdout + done.stderr) for name, done in said.items()
    }
    return {name: number[0] for name, number in numbers.items() if number}


def has_product(python: str) -> bool:
    """Whether that is an interpreter which has zabbix_sockets."""
    return bool(shutil.which(python) and product(python))


def _by_turns(now: Version, before: Version | None) -> Iterator[Candidate]:
    """The product's candidates, each with that of the version before it right behind it."""
    if before is None:
        yield from _calls(now)
        return
    for call, earlier in zip(_calls(now), _calls(before), strict=True):
        yield call
        yield replace(earlier, name=f"{call.name}{BEFORE}")


def _calls(version: Version) -> list[Candidate]:
    python = version.python
    iterated, dumped = _iterated(python, version.pins), _own(python, "sock_diag")
    return [
        iterated,
        dumped,
        _own(python, "procfs"),
        _without_tcp_info(iterated),
        _without_tcp_info(dumped),
        _with_clients(iterated),
        _with_clients(dumped),
        _agent(python),
    ]


def _agent(python: str) -> Candidate:
    """What an idle host pays: the UserParameter of conf/, of an agent without any privilege."""
    command = product(python, "get", "--", "")
    agent = Candidate("agent", command, check=_document_of(None), idle=True)
    if os.geteuid():
        return agent
    if command and not _may_start(python, NOBODY):
        why_not = f"user {NOBODY} may not start {python}"
        return replace(agent, command=(), why_not=why_not)
    return replace(agent, uid=NOBODY)


def _may_start(python: str, uid: int) -> bool:
    """Whether *uid* can: interpreters below a home often are for its owner only. Needs root."""
    command = (python, "-I", "-c", "pass")
    try:
        done = subprocess.run(
            command, user=uid, group=uid, extra_groups=(), capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _without_tcp_info(own: Candidate) -> Candidate:
    """The product without round-trip times and retransmissions, to see their cost."""
    command = (*own.command, "--no-tcp-info") if own.command else ()
    return replace(own, name=f"{own.name}{WITHOUT}", command=command, scenario="traffic")


def _with_clients(own: Candidate) -> Candidate:
    """The product with the clients of each listener, to see their cost."""
    command = (*own.command, "--clients") if own.command else ()
    return replace(own, name=f"{own.name}{CLIENTS}", command=command, scenario="distinct")


def _own(python: str, source: str, *options: str) -> Candidate:
    get = ("get", "--timeout", "30", "--max-bytes", "500000")
    options = ("--active-within", "3600", *options)  # all connections count
    command = product(python, *get, "--source", source, *options)
    return Candidate(source, command, SOURCES[source], _document_of(source))


def _iterated(python: str, pins: Pins) -> Candidate:
    """The product with pinned iterators: what it takes after `load`."""
    own = _own(python, "bpf", "--pins", pins.folder)
    command = () if pins.product else own.command
    return replace(
        own,
        command=command,
        bounds_of_a_million=BPF_BOUNDS_OF_A_MILLION,
        why_not=pins.product,
    )


def _visit(programs: Mapping[str, str], name: str, pins: Pins, check: Check) -> Candidate:
    """A bare read of a bound's pinned iterator."""
    command = (programs["iterator_read"], f"{pins.folder}/{name}")
    return Candidate(name, () if pins.bounds else command, check=check, why_not=pins.bounds)


def _python(python: str, module: str, *arguments: str) -> tuple[str, ...]:
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    found = subprocess.run([python, "-I", "-c", find], check=False).returncode == 0
    return (python, "-I", *arguments) if found else ()


def product(python: str, *arguments: str) -> tuple[str, ...]:
    """The product's command, started as the packages' launcher does (packaging/root/start.py)."""
    run = "from zabbix_sockets.command.cli import main; main()"
    return _launched(python, "zabbix_sockets", run, *arguments)


def _launched(python: str, module: str, code: str, *arguments: str) -> tuple[str, ...]:
    """Code that imports a module of *python*, in an interpreter that looks for no others."""
    find = f"import importlib.util as util; print(util.find_spec({module!r}).origin)"
    find += "; orjson = util.find_spec('orjson'); orjson and print(orjson.origin)"
    found = subprocess.run(
        [python, "-I", "-c", find], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not found:
        return ()
    folders = {os.path.dirname(os.path.dirname(each)): None for each in found.split("\n")}
    launch = f"import sys; sys.path[:0] = {[*folders]}; {code}"
    bare = os.path.realpath(shutil.which(python) or python)
    return (bare, "-I", "-S", "-c", launch, *arguments)


def _peer(
    name: str, command: tuple[str, ...], bounds: tuple[str, ...], none_found: int = 0
) -> Candidate:
    found = shutil.which(name)
    return Candidate(name, command if found else (), bounds, none_found=none_found)


def _in_each_namespace(name: str, command: str) -> Candidate:
    """The same in the network namespace of every process."""
    script = f'for process in /proc/[0-9]*; do nsenter --net="$process/ns/net" {command}; done'
    found = shutil.which("nsenter") and shutil.which(command.split(maxsplit=1)[0])
    return Candidate(name, ("sh", "-c", script) if found else (), scenario="namespaces")


def _bound(programs: Mapping[str, str], name: str, per_socket: int) -> Candidate:
    return Candidate(name, (programs[name],), check=_at_least(per_socket))


def _at_least(per_socket: int, field: int = 0) -> Check:
    """The number in *field* of the output is *per_socket* for each socket, or more."""

    def check(output: str, sockets: int) -> str:
        if int(output.split()[field]) < per_socket * sockets:
            raise WrongAnswerError(f"saw too little: {output.strip()}")
        return ""

    return check


def _document_of(source: str | None) -> Check:
    """The output is a document with all sockets that came from *source*; None: from any."""

    def check(output: str, sockets: int) -> str:
        document = json.loads(output)
        if "error" in document:
            raise WrongAnswerError(str(document["error"]))
        collector = document["collector"]
        if source not in {None, collector["source"]}:
            raise WrongAnswerError(f"answered by {collector['source']}: {collector['reason']}")
        if collector["sockets"] < sockets:
            raise WrongAnswerError(f"saw {collector['sockets']} sockets")
        return "" if document["complete"] else f"not complete: {_losses(document)}"

    return check


def _losses(document: Mapping[str, Mapping[str, object]]) -> str:
    """Why a document is not complete, in few words."""
    collector = document["collector"]
    losses = {
        field: collector.get(field)
        for field in ("denied_processes", "vanished_processes", "namespaces_skipped")
    }
    if isinstance(truncated := collector.get("truncated"), dict):
        losses |= {f"{rows} truncated by": count for rows, count in truncated.items()}
    found = [f"{what} {count}" for what, count in losses.items() if count]
    if isinstance(warnings := collector.get("warnings"), list):
        found += map(str, warnings)
    return "; ".join(found)
