"""The service that pushes, as its unit has it and as it runs: its options, user and credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import User
from zabbix_sockets.check.system import System
from zabbix_sockets.model.option import Option
from zabbix_sockets.readers.groups import find_group
from zabbix_sockets.readers.proc.process import parse_status
from zabbix_sockets.sending.options import CONNECT, Destination, SenderOption

GROUP = "zabbix"
"""The group of the service, where its unit says no other."""
_DYNAMIC_UID = 61184
"""A user that owns no file: the first one of DynamicUser= (systemd.exec(5))."""
_ARGUMENTS = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")
_PORT = re.compile(r"(?:\]|^[^:]*):[0-9]+$")
_CREDENTIALS = "CREDENTIALS_DIRECTORY="
_UNENCRYPTED = "unencrypted"


class PushService(NamedTuple):
    """How the service calls zabbix_sender.

    Attributes:
        destinations: each server or proxy, or the nodes of a cluster with ";" between them.
        options: the options of `send` for the destination, as its command has them; the agent's
            file is named in them if it is used.
        user: the user that its process has, or would have; None: the caller, who may not become
            it, or is root, as the service is.
        credentials: the folder of its systemd credentials; None: it has none, or doesn't run.
        encryption: "unencrypted", "psk" or "cert", as TLSConnect= and --tls-connect have it.
    """

    destinations: tuple[str, ...]
    options: Destination
    user: User | None
    credentials: str | None
    encryption: str


def service_of(
    system: System, state: Mapping[str, str], agents: Sequence[Agent], *, root: bool
) -> PushService:
    """Return how the service, whose properties are *state*, calls zabbix_sender.

    *root*: the caller may become its user, and read what is its.
    """
    agent, words = source_of(agents), _words(system, state)
    options = _destination(words)
    if options.agent_config is None and agent and not _is_told_all(options):
        options = options._replace(agent_config=agent.config)
    encryption = dict(options.sender_options).get(CONNECT)
    if options.agent_config is not None:
        options = options._replace(agent_config=system.at(options.agent_config))
        encryption = encryption or (agent.value("TLSConnect") if agent else "")
    named = agent.value("ServerActive").split(",") if agent else []
    destinations = tuple(each.strip() for each in options.server or named if each.strip())
    user = _running_user(system, state) or dynamic_user(state.get("Group", ""))
    return PushService(
        destinations,
        options,
        user if root and user.uid else None,
        _credentials(system, state) if root else None,
        encryption or _UNENCRYPTED,
    )


def source_of(agents: Sequence[Agent]) -> Agent | None:
    """Return the agent whose configuration the service uses: that which runs, else the first."""
    running = [each for each in agents if each.process]
    return next(iter(running or agents), None)


def own_servers(state: Mapping[str, str]) -> str:
    """Return the servers that the service's own command names, as ServerActive has them.

    Empty: none, so it pushes to those of the agent's configuration. *state* is that of systemctl.
    """
    options = _destination(_of_unit(state))
    port = options.port
    return ",".join(
        f"{each}:{port}" if port and not _PORT.search(each) else each for each in options.server
    )


def dynamic_user(group: str) -> User:
    """Return a user as the service has one while it runs, in *group*; empty: in its usual one."""
    gid = find_group(group or GROUP)
    return User("zabbix-sockets", _DYNAMIC_UID, _DYNAMIC_UID if gid is None else gid, ())


def _words(system: System, state: Mapping[str, str]) -> list[str]:
    """Return the arguments of the service's process; while it doesn't run those of its unit."""
    text = system.read(f"/proc/{state['MainPID']}/cmdline") if _has_process(state) else None
    return text.rstrip("\0").split("\0") if text else _of_unit(state)


def _of_unit(state: Mapping[str, str]) -> list[str]:
    """Return the arguments of the service's command; systemctl shows them without quotes."""
    found = _ARGUMENTS.search(state.get("ExecStart", ""))
    return [each.strip("\"'") for each in found[1].split()] if found else []


def _has_process(state: Mapping[str, str]) -> bool:
    return state.get("MainPID", "0") != "0"


def _destination(words: Sequence[str]) -> Destination:
    """Return the options for the destination in the arguments of a call of `send`."""
    pairs = [each.split("=", 1) for each in words if each.startswith("--") and "=" in each]
    pairs += [list(pair) for pair in zip(words, words[1:]) if "=" not in pair[0]]
    values = {name: value.strip("\"'") for name, value in pairs if name.startswith("--")}
    servers = tuple(value.strip("\"'") for name, value in pairs if name == "--server")
    port = values.get("--port", "")
    return Destination(
        values.get("--agent-config"),
        servers,
        int(port) if port.isascii() and port.isdecimal() else None,
        values.get("--host"),
        tuple(_of_sender(each, values[each.flag]) for each in _FOR_SENDER if each.flag in values),
    )


_FOR_SENDER: tuple[Option, ...] = Destination.__annotations__["sender_options"].__metadata__
"""The options of `send` that are zabbix_sender's."""


def _of_sender(option: Option, value: str) -> SenderOption:
    assert option.parse
    parsed = option.parse(value)
    assert isinstance(parsed, tuple)
    return parsed


def _is_told_all(options: Destination) -> bool:
    """Whether `send` takes nothing from the agent's file (sending.target)."""
    return bool(options.server) and CONNECT in dict(options.sender_options)


def _running_user(system: System, state: Mapping[str, str]) -> User | None:
    """Return the user of the service's process; None: it doesn't run, or can't be seen."""
    text = system.read(f"/proc/{state['MainPID']}/status") if _has_process(state) else None
    fields = parse_status((text or "").encode("utf-8", "surrogateescape"))
    try:
        uid, gid = (int(fields[name].split()[1]) for name in (b"Uid", b"Gid"))
        groups = tuple(map(int, fields[b"Groups"].split()))
    except (KeyError, IndexError, ValueError):
        return None
    return User("zabbix-sockets", uid, gid, groups)


def _credentials(system: System, state: Mapping[str, str]) -> str | None:
    text = system.read(f"/proc/{state['MainPID']}/environ") if _has_process(state) else None
    found = (each for each in (text or "").split("\0") if each.startswith(_CREDENTIALS))
    return next((each[len(_CREDENTIALS) :] for each in found), None)
