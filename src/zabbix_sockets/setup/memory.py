"""The part of the plan for what discovery remembers: a folder for each user that asks.

An agent's user can make none in /var/lib. Without one the file of the rows that were admitted is
beside the user's lock, and lost with the next boot (command.admitted).
"""

from __future__ import annotations

from zabbix_sockets.host.state_folder import ENFORCE, is_for_agents_domain, is_private_folder
from zabbix_sockets.model.paths import state_folder
from zabbix_sockets.setup.actions import Action, Command
from zabbix_sockets.setup.record import STATE, Entry
from zabbix_sockets.setup.scene import Part, Scene


def plan_memory(scene: Scene) -> Part:
    """Return the state folders of the users of agents and, for external checks, of servers."""
    part = Part()
    programs = [each.program for each in scene.agents] if scene.options.keys else []
    if scene.options.external_check:
        programs += scene.servers
    for user in dict.fromkeys(each.user for each in programs):
        account = scene.accounts.user(user)
        if account:
            part.actions.append(_make_folder(scene, account.uid, account.gid))
    return part


def _make_folder(scene: Scene, uid: int, gid: int) -> Action:
    folder = state_folder(uid)
    path = scene.machine.path(folder)
    words = ["install", "-d", "-m", "0700", "-o", str(uid), "-g", str(gid)]
    if scene.machine.has(ENFORCE):
        words.append("-Z")  # with the type that the module says, which has to be loaded before
    is_done = is_private_folder(path, uid) and is_for_agents_domain(path, scene.machine.root)
    return Command(
        scene.machine,
        f"{folder} is there, for what discovery remembers",
        [*words, path],
        is_done=is_done,
        entries=[Entry(STATE, folder)],
    )
