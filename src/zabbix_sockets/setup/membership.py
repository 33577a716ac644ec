"""Membership of the group that may read the pins, for the users of Zabbix's programs."""

from __future__ import annotations

from zabbix_sockets.host.programs import Program
from zabbix_sockets.setup.actions import Action, add_member
from zabbix_sockets.setup.scene import Scene


def join_group(scene: Scene, program: Program) -> list[Action]:
    """Return the action that lets the user of *program* read the pins; none is needed for root."""
    if program.user == "root" or scene.group in program.groups:
        return []
    account = scene.accounts.user(program.user)
    if account is None:
        return []
    # Its primary group counts in program.groups, unless the unit starts it with another one.
    is_member = scene.group in scene.accounts.joined(account)
    return [add_member(scene.machine, program.user, scene.group, is_member=is_member)]


def has_group(scene: Scene, program: Program) -> bool:
    """Whether *program* may read the pins: it is in their group, by now or since its start."""
    return program.user == "root" or scene.group in program.groups
