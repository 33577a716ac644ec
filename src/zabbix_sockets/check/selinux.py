"""SELinux: whether it is enforced, has the module for agents, and what it has denied them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line, broken, degraded, ok, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.host.own_files import conf_path
from zabbix_sockets.host.selinux_store import MODULE, MODULE_FILE, stored_modules
from zabbix_sockets.host.state_folder import ENFORCE

SELINUX = "selinux"

_AUDIT = "/var/log/audit/audit.log"
_TAIL = 500_000
_DOMAINS = ("zabbix_agent_t", "zabbix_sockets")
_DENIED = re.compile(r"avc:\s+denied\s+\{([^}]*)\}")
_BETWEEN = re.compile(r"scontext=(\S+) tcontext=(\S+) tclass=(\S+)")
_TYPE = 2  # of user:role:type:level


def check_selinux(system: System, _agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of SELinux."""
    enforce = system.read(ENFORCE)
    if enforce is None:
        yield ok(SELINUX, "not enabled")
        return
    if enforce.strip() != "1":
        yield ok(SELINUX, "permissive: it forbids nothing")
        return
    if system.euid:
        yield unknown(
            SELINUX, "enforcing; what it denies only root may see", "sudo zabbix-sockets check"
        )
        return
    modules = stored_modules(system.root)
    if not modules:
        yield degraded(
            SELINUX,
            f"enforcing, and the module {MODULE} is not installed: in the domain zabbix_agent_t"
            " an agent may neither read the iterators nor ask sock_diag",
            "zabbix-sockets setup",
        )
        return
    own = _own_module()
    if own and all(modules) and own not in modules:  # what can't be read may be ours
        yield degraded(
            SELINUX,
            f"enforcing, and the module {MODULE} is another version's: this one may ask for more",
            "zabbix-sockets setup",
        )
        return
    denial = last_denial(_audited(system))
    if denial:
        yield broken(
            SELINUX, f"enforcing, and it denied {denial}", "ausearch -m avc -ts recent | audit2why"
        )
        return
    yield ok(SELINUX, f"enforcing, with the module {MODULE}, and nothing was denied lately")


def _own_module() -> bytes:
    """Return the bytes of the module that this installation brings; none if it can't be read."""
    try:
        with open(conf_path(MODULE_FILE), "rb") as file:
            return file.read()
    except OSError:
        return b""


def _audited(system: System) -> str:
    """Return the end of the audit log, or where no auditd runs what the kernel's log has of it."""
    try:
        with open(system.at(_AUDIT), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        said = system.run("journalctl", "-k", "--boot", "--grep=avc:", "-n50", "-o", "cat", "-q")
        return said.text if said.in_time and not said.status else ""


def last_denial(log: str) -> str:
    """Return in words the last denial of an agent's domain in an audit log; empty: there is none.

    What was denied by a permissive domain is none.
    """
    for line in reversed(log.splitlines()):
        what, between = _DENIED.search(line), _BETWEEN.search(line)
        if what and between and _is_enforced(line) and any(each in line for each in _DOMAINS):
            source, target, kind = between.groups()
            return f"{_type_of(source)} {{ {what[1].strip()} }} on {_type_of(target)}:{kind}"
    return ""


def _is_enforced(line: str) -> bool:
    return "permissive=1" not in line


def _type_of(context: str) -> str:
    return "".join(context.split(":")[_TYPE : _TYPE + 1])
