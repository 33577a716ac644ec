"""The part of the plan for SELinux: a module that lets a confined agent ask."""

from __future__ import annotations

from zabbix_sockets.host.selinux_store import MODULE, MODULE_FILE, stored_modules
from zabbix_sockets.host.state_folder import ENFORCE
from zabbix_sockets.setup.actions import load_module
from zabbix_sockets.setup.scene import Part, Scene


def plan_module(scene: Scene) -> Part:
    """Return the SELinux module to load where SELinux is on, be it enforcing or permissive.

    One of another version of this package is replaced.

    Raises:
        OSError: the module that this installation brings can't be read.
    """
    part = Part()
    machine = scene.machine
    if not machine.has(ENFORCE):
        return part
    if not machine.has("/usr/sbin/semodule", "/sbin/semodule", "/usr/bin/semodule"):
        part.faults.append("SELinux is on, and there is no semodule: install policycoreutils")
        return part
    path = f"{scene.own.conf}/{MODULE_FILE}"
    is_done = scene.own.shipped(MODULE_FILE) in stored_modules(machine.root)
    part.actions.append(load_module(machine, path, MODULE, is_done=is_done))
    return part
