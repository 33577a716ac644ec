"""The part of the plan for the service that pushes documents with zabbix_sender."""

from __future__ import annotations

import os
import re
import stat

from zabbix_sockets.host.agents import InstalledAgent
from zabbix_sockets.host.zabbix_config import TLS_FILES, Setting, ZabbixConfig
from zabbix_sockets.model.paths import PINS_GROUP, SYSTEM_PATH
from zabbix_sockets.sending.agent_config import PLACES, named_host
from zabbix_sockets.sending.transport import PACKAGES
from zabbix_sockets.sending.transport import PROGRAM as SENDER_PROGRAM
from zabbix_sockets.setup.actions import Action, Command
from zabbix_sockets.setup.scene import Part, Scene
from zabbix_sockets.setup.units import enable, finish_units, has_new, install_units, is_on, masked

SEND = "zabbix-sockets-send.service"

_SENDER = tuple(f"{folder}/{SENDER_PROGRAM}" for folder in SYSTEM_PATH)
_LOOPBACK = re.compile(r"(127\.[\d.]+|localhost|\[?::1\]?)(:\d+)?$")


def plan_push(scene: Scene) -> Part:
    """Return the service that pushes documents every minute, and what stands in its way."""
    part = Part()
    if not scene.machine.has_systemd:
        part.faults.append(
            "systemd doesn't run here: start at boot, as the agent's user:"
            f" {scene.own.command} send --interval 60"
        )
        return part
    agent = _agent_of(scene)
    mask = masked(scene, SEND)
    if mask:
        part.faults.append(mask)
    if not scene.machine.has(*_SENDER):
        part.faults.append(f"there is no zabbix_sender: {PACKAGES}")
    if agent is None and not (scene.options.server and scene.options.host):
        part.faults.append(
            "there is no agent whose configuration names the server and the host:"
            " setup --push --server ADDRESS --host NAME"
        )
    elif not _servers_of(scene, agent):
        where = f"set ServerActive in {agent.config_path}, or " if agent else ""
        part.faults.append(
            f"no server to push to: {where}setup --push --server ADDRESS --host NAME"
        )
    elif not _host_of(scene, agent):
        part.faults.append("no name to push as: setup --push --host NAME, as Zabbix has the host")
    part.faults += [
        f"a unit can't name {each.value}, the {each.name} of {each.path}: call it otherwise"
        for each in (_tls_files(agent.program.config) if agent else ())
        if not _is_nameable(each.value)
    ]
    if part.faults:
        return part
    files: list[Action] = install_units(scene, SEND)
    files += scene.drop_in(SEND, _settings(scene, agent))
    part.actions += finish_units(scene, files)
    runs = is_on(scene, SEND)
    part.actions.append(enable(scene, SEND))
    if runs and has_new(files):
        words = ["systemctl", "restart", SEND]
        part.actions.append(Command(scene.machine, f"{SEND} runs with its new settings", words))
    servers = " and ".join(_servers_of(scene, agent))
    part.notes.append(f"documents are pushed to {servers}, as the host {_host_of(scene, agent)!r}")
    return part


def _servers_of(scene: Scene, agent: InstalledAgent | None) -> tuple[str, ...]:
    """Return where documents go: to the servers of the option, else of the agent's configuration.

    There this host itself, as the agent's packages have it, counts only where a server or a proxy
    is here: else each push would fail.
    """
    if scene.options.server:
        return tuple(scene.options.server.split(","))
    servers = agent.active_servers if agent else ()
    has_server = any(each.executable or each.unit or each.pid for each in scene.servers)
    return servers if has_server or not all(map(_LOOPBACK.match, servers)) else ()


def _host_of(scene: Scene, agent: InstalledAgent | None) -> str:
    """Return the host's name in Zabbix; empty: the agent takes it from an item."""
    if scene.options.host or agent is None:
        return scene.options.host
    return named_host(agent.program.config)


def _agent_of(scene: Scene) -> InstalledAgent | None:
    """Return the agent whose configuration the service uses: that which runs, else the first."""
    running = [each for each in scene.agents if each.pid]
    return next(iter(running or scene.agents), None)


def _settings(scene: Scene, agent: InstalledAgent | None) -> list[str]:
    """Return the lines of the drop-in in which the service differs from its unit."""
    lines = []
    if scene.group != PINS_GROUP:
        lines.append(f"Group={scene.group}")
    options = scene.options
    words = []
    if options.server:
        words += [f"--server {each}" for each in options.server.split(",")]
    if options.host:
        words.append(f'--host "{options.host}"')
    if agent and not options.server and agent.config_path not in PLACES.values():
        words.append(f'--agent-config "{_escaped(agent.config_path)}"')
    if words:
        call = f"ExecStart={scene.own.command} send --interval 60"
        lines += ["ExecStart=", " ".join([call, *words])]
    if agent:
        lines += _credentials(scene, agent.program.config)
    return lines


def _tls_files(config: ZabbixConfig) -> list[Setting]:
    """Return the settings that name files of TLS, of each name the one that counts."""
    counting = {each.name: each for each in config.values(*TLS_FILES) if each.value}
    return [counting[name] for name in TLS_FILES if name in counting]


def _is_nameable(path: str) -> bool:
    """Whether a unit can name *path*, which the agent's user may have written.

    systemd ends a line at a carriage return too: what is behind it would be a setting of its own,
    such as a command that root runs.
    """
    return path.startswith("/") and path.isprintable()


def _credentials(scene: Scene, config: ZabbixConfig) -> list[str]:
    """Return a line for each file of the agent's TLS settings that the service may not read."""
    return [
        f"LoadCredential={TLS_FILES[each.name]}:{each.value.replace('%', '%%')}"
        for each in _tls_files(config)
        if not _may_read(scene, each.value)
    ]


def _may_read(scene: Scene, path: str) -> bool:
    """Whether the service's group, or everybody, may read the file *path* and enter its folders."""
    gid = scene.accounts.gid(scene.group)
    parts = path.split("/")
    for end in range(2, len(parts) + 1):
        try:
            found = os.stat(scene.machine.path("/".join(parts[:end])))
        except OSError:
            return True  # it isn't there: the service says so
        is_file = end == len(parts)
        wanted = (stat.S_IRGRP, stat.S_IROTH) if is_file else (stat.S_IXGRP, stat.S_IXOTH)
        if not found.st_mode & wanted[0 if found.st_gid == gid else 1]:
            return False
    return True


def _escaped(path: str) -> str:
    """Return *path* for a unit's file, where "%" and "$" begin something else."""
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
