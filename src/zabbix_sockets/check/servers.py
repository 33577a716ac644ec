"""The servers and proxies of an agent's configuration: whether they can be reached, and answer."""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from zabbix_sockets.check import trapper
from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import Result, gather, start
from zabbix_sockets.check.line import Line, broken, ok, typed, unknown
from zabbix_sockets.check.push import (
    LOOPBACK,
    SET_UP,
    has_credentials,
    has_default_server,
    is_used,
    naming_a_server,
)
from zabbix_sockets.check.push_service import PushService, own_servers, service_of, source_of
from zabbix_sockets.check.system import System
from zabbix_sockets.check.trapper import Finding, question
from zabbix_sockets.check.units import SEND_UNIT, state_of
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.sending.transport import PROGRAM as SENDER_PROGRAM

SERVER = "server"

HostPort = tuple[str, int]
"""The host and the port of a server, a proxy, or a node of a cluster."""

_DEFAULT_PORT = 10051
_SECONDS = 1.0
_TO_END, _TO_TELL = 0.6, 0.1
"""Seconds that are kept for the end of a question, and for telling what came of it."""
_MOST_TO_ANSWER = 5
_MOST = 8
_HOST = re.compile(r"[0-9A-Za-z_.:%-]+")
_AS_ROOT = "sudo zabbix-sockets check"
_NOT_ASKED = "not asked"
"""The kind of a finding where there is a connection, and zabbix_sender was not called."""
_SAID = {
    trapper.REJECTS: "answers, and takes nothing",
    trapper.HANGS: "takes connections, and no answer comes in time",
    trapper.CANNOT: f"takes connections, and {SENDER_PROGRAM} can't ask",
}
_OVER = {
    "unencrypted": "without TLS",
    "psk": "over TLS with a pre-shared key",
    "cert": "over TLS with certificates",
}
_TLS_ADVICE = {
    "psk": "the server has no such identity or another key for it, see the host's tab Encryption",
    "cert": "it doesn't trust this certificate, or has none itself",
}
"""What may be the cause where a server just ends the handshake: it tells its own log alone."""


class _Pushing(NamedTuple):
    """What is pushed to, and how.

    Attributes:
        service: how zabbix_sender is called.
        program: its path; empty: it can't be asked with, because of *why_not*.
        why_not: in words; empty: it can.
        agent: the agent whose configuration is used, if there is one.
        is_default: nothing but the packages' default says where to push.
    """

    service: PushService
    program: str
    why_not: str
    agent: Agent | None
    is_default: bool


def check_servers(system: System, agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of each server and proxy that is pushed to, or that an agent names.

    Those that are pushed to are asked as the service pushes (check.trapper); to the others a
    connection is opened and closed. Nothing is changed there.
    """
    pushing = _pushing(system, agents) if is_used(system) else None
    pushed = pushing.service.destinations if pushing else ()
    nodes = [node for each in pushed for node in nodes_of(each)]
    values = [each.value("ServerActive") for each in agents]
    named = dict.fromkeys(node for value in values for node in nodes_of(value) if node not in nodes)
    if not (pushed or named):
        yield ok(SERVER, "no agent has a ServerActive: servers ask, and nothing is pushed")
        return
    asked, reached = pushed[:_MOST], list(named)[:_MOST]
    children = [start(partial(_asked, system, pushing, each)) for each in asked if pushing]
    children += [start(partial(_reached, *node)) for node in reached]
    results = gather(children, Deadline(system.deadline.remaining() - _TO_TELL))
    for destination, result in zip(asked, results):
        if pushing:
            yield _pushed_to(pushing, destination, _finding(result), is_root=not system.euid)
    for node, result in zip(reached, results[len(asked) :]):
        yield _named(node, result.values[0] if result.values else f"no answer in {_SECONDS:g} s")


def _pushing(system: System, agents: Sequence[Agent]) -> _Pushing:
    """Return how this host pushes, by its service: the program, the agent's file, the servers."""
    state, agent = state_of(system, SEND_UNIT), source_of(agents)
    service = service_of(system, state, agents, root=not system.euid)
    program, why_not = system.find(SENDER_PROGRAM) or "", ""
    if not program:
        why_not = f"there is no {SENDER_PROGRAM}"
    elif has_credentials(system) and service.credentials is None:
        why_not = "its credentials are only there while it runs, for root to read"
    is_default = not own_servers(state) and has_default_server(agent)
    return _Pushing(service, program, why_not, agent, is_default)


def _finding(result: Result) -> Finding:
    """Return the last finding that a child has told."""
    if result.fault:
        return Finding(trapper.CANNOT, result.fault, "")
    if result.values:
        return Finding(*result.values[-1])
    return Finding(trapper.HANGS, f"{SENDER_PROGRAM} did not end", "")


def _asked(system: System, pushing: _Pushing, destination: str) -> Iterator[Finding]:
    """Yield the finding of a question to a server that is pushed to.

    Where none of its nodes takes connections, zabbix_sender is not called.
    """
    failures = [said for node in nodes_of(destination) for said in _reached(*node)]
    if failures and all(failures):
        yield Finding(trapper.NO_CONNECTION, failures[0], "")
        return
    if pushing.why_not:
        yield Finding(_NOT_ASKED, pushing.why_not, "")
        return
    seconds = max(1, min(_MOST_TO_ANSWER, int(system.deadline.remaining() - _TO_END)))

    def told() -> Iterator[tuple[str, ...]]:
        yield from map(tuple, question(pushing.service, pushing.program, destination, seconds))

    limit = Deadline(system.deadline.remaining() - 2 * _TO_TELL)
    (result,) = gather([start(told, pushing.service.user)], limit)
    yield _finding(result)


def nodes_of(value: str) -> list[HostPort]:
    """Return the host and port of each server, proxy and cluster's node in a ServerActive."""
    nodes = []
    for each in value.replace(";", ",").split(","):
        text = each.strip()
        host, colon, port = text.rpartition(":")
        if text.startswith("["):
            host, _, behind = text[1:].partition("]")
            colon, port = behind[:1], behind[1:]
        elif not colon or ":" in host:  # no port, or an IPv6 address without brackets
            host, port = text, ""
        if host:
            is_number = port.isascii() and port.isdecimal() and len(port) <= len("65535")
            nodes.append((host, int(port) if is_number else _DEFAULT_PORT))
    return nodes


def _reached(host: str, port: int) -> Iterator[str]:
    """Yield in words why there is no connection to a server; empty: there is."""
    try:
        with socket.create_connection((host, port), _SECONDS):
            yield ""
    except socket.gaierror as error:
        yield f"its name is not known ({error.strerror})"
    except TimeoutError:
        yield f"no answer in {_SECONDS:g} s"
    except OSError as error:
        yield os.strerror(error.errno) if error.errno else str(error)


def _where(destination: str) -> str:
    """Return in words where the nodes of a destination are."""
    return " or ".join(f"{host} port {port}" for host, port in nodes_of(destination))


def _pushed_to(pushing: _Pushing, destination: str, found: Finding, *, is_root: bool) -> Line:
    """Return the line of a server that is pushed to, with what a question has shown."""
    where, encryption = _where(destination), pushing.service.encryption
    if found.kind == trapper.ANSWERS:
        return ok(SERVER, f"{where} answers {SENDER_PROGRAM}, {_OVER.get(encryption, encryption)}")
    if found.kind == _NOT_ASKED:
        said = f"{where} takes connections; {SENDER_PROGRAM} was not tried: {found.reason}"
        return unknown(SERVER, said, _AS_ROOT if pushing.program and not is_root else "")
    if found.kind == trapper.CANNOT and not is_root:
        said = f"{where} takes connections; {SENDER_PROGRAM} can't ask: {found.reason}"
        return unknown(SERVER, said, _AS_ROOT)
    if found.kind == trapper.NO_CONNECTION:
        return _not_connected(pushing, destination, found)
    return _not_answered(pushing, destination, found)


def _not_answered(pushing: _Pushing, destination: str, found: Finding) -> Line:
    """Return the line of a server that takes connections and doesn't answer as one should."""
    where, encryption = _where(destination), pushing.service.encryption
    if found.kind == trapper.TLS:
        advice = _TLS_ADVICE.get(encryption, "the server takes another one")
        return broken(
            SERVER,
            f"{where} takes connections, and no TLS as TLSConnect={encryption} has it:"
            f" {found.reason}. If that doesn't say why: {advice}; the server's log tells",
            found.again,
        )
    if found.kind == trapper.STRANGE:
        return broken(
            SERVER,
            f"{where} takes connections, and is no Zabbix server or proxy ({found.reason}):"
            f" {naming_a_server(pushing.agent)}",
            SET_UP,
        )
    said = f"{where} {_SAID[found.kind]}: {found.reason}"
    return broken(SERVER, said, found.again or f"journalctl -u {SEND_UNIT} -n 20")


def _not_connected(pushing: _Pushing, destination: str, found: Finding) -> Line:
    """Return the line of a server to which there is no connection, and to which is pushed."""
    said = f"{_where(destination)}: {found.reason}"
    if pushing.is_default:
        mend = naming_a_server(pushing.agent)
        return broken(SERVER, f"{said}; that is the packages' default: {mend}", SET_UP)
    return broken(SERVER, said, _again(*nodes_of(destination)[0]))


def _named(node: HostPort, said: str) -> Line:
    """Return the line of a server that only an agent's active checks need."""
    host, port = node
    where = f"{host} port {port}"
    if not said:
        return ok(SERVER, f"{where} takes connections")
    if host in LOOPBACK and said == os.strerror(errno.ECONNREFUSED):
        return ok(SERVER, f"none at {where}, the packages' default; nothing is pushed there")
    return unknown(
        SERVER, f"{where}: {said}; only active checks and pushes need it", _again(host, port)
    )


def _again(host: str, port: int) -> str:
    """Return the command that looks up a host's name and connects to it once more."""
    connect = typed("timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{host}/{port}")
    return f"{typed('getent', 'ahosts', host)} && {connect}" if _HOST.fullmatch(host) else ""
