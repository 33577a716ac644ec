"""The part of the plan for a Zabbix server or proxy: the script for items of type External check.

It is run as the server's user, who has to read the pins as an agent does.
"""

from __future__ import annotations

import mmap
import os
import re

from zabbix_sockets.host.programs import Program
from zabbix_sockets.setup.actions import TO_DO
from zabbix_sockets.setup.membership import has_group, join_group
from zabbix_sockets.setup.restarts import add_restart
from zabbix_sockets.setup.scene import Part, Scene

_SCRIPT = "zabbix-sockets"
_SHIPPED = "external_check/zabbix-sockets"
_COMPILED = re.compile(rb"(/[!-~]{1,200}/externalscripts)\0")


def plan_external_check(scene: Scene) -> Part:
    """Return the scripts for external checks of servers and proxies, and what is in their way."""
    part = Part()
    if not scene.servers:
        part.faults.append("there is no Zabbix server or proxy here for --external-check")
    for server in scene.servers:
        folder = _scripts_folder(scene, server)
        if folder is None:
            part.faults.append(
                f"the folder of external scripts of {server.config.path} is not there: make it,"
                " and name it there as ExternalScripts"
            )
            continue
        named_by = [each.path for each in server.config.values("ExternalScripts")[-1:]]
        if not all(scene.may_name(each, folder, server.user) for each in named_by):
            part.faults.append(
                f"{named_by[0]}, which others than root may change, names {folder} as the folder of"
                " external scripts: look whether that is meant, and let root alone write both"
            )
            continue
        script = scene.copy(_SHIPPED, os.path.join(folder, _SCRIPT), 0o755)
        member = join_group(scene, server)
        known = {each.command for each in part.actions}
        part.actions += [each for each in (script, *member) if each.command not in known]
        joins = any(each.state == TO_DO for each in member)
        if joins or (server.running and not has_group(scene, server)):
            add_restart(scene, part, server)
    return part


def _scripts_folder(scene: Scene, server: Program) -> str | None:
    """Return the folder of the server's external scripts: as set, else as compiled in.

    None: it isn't there, or isn't known.
    """
    folder = server.config.value("ExternalScripts") or _compiled_folder(scene, server)
    return folder if folder and os.path.isdir(scene.machine.path(folder)) else None


def _compiled_folder(scene: Scene, server: Program) -> str | None:
    """Return the default that is compiled into the server's executable; None: none is found."""
    if server.executable is None:
        return None
    try:
        with open(scene.machine.path(server.executable), "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    with content:
        found = _COMPILED.search(content)
        return os.fsdecode(found[1]) if found else None
