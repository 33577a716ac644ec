"""The plan: all that is to be done on a host for what the options want."""

from __future__ import annotations

from zabbix_sockets.host.accounts import Accounts
from zabbix_sockets.host.agents import InstalledAgent, find_agents
from zabbix_sockets.host.own_files import COMMAND
from zabbix_sockets.host.programs import PROXY, SERVER, AskVersion, find_programs, version_of
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup.actions import Action, Command
from zabbix_sockets.setup.external import plan_external_check
from zabbix_sockets.setup.keys import plan_keys
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.memory import plan_memory
from zabbix_sockets.setup.options import SetupOptions
from zabbix_sockets.setup.push import plan_push
from zabbix_sockets.setup.record import GROUP, Entry, SetupRecord
from zabbix_sockets.setup.scene import Own, Part, Scene, choose_group
from zabbix_sockets.setup.selinux import plan_module
from zabbix_sockets.setup.units import plan_units

_OLD_HOME = "/opt/zabbix-sockets"
_OLD_LINK = "/usr/local/bin/zabbix-sockets"


def look(
    machine: Machine,
    own: Own,
    options: SetupOptions,
    record: SetupRecord,
    no_iterators: str,
    no_libbpf: str,
    ask_version: AskVersion = version_of,
) -> Scene:
    """Return the Scene of a host; *no_iterators* says why that can't load the BPF iterators.

    *no_libbpf* says why libbpf can't, though the host could; both are empty where it can.

    Raises:
        SocketsError: there is no program for what the options want.
    """
    root = machine.root
    accounts = Accounts(root)
    found = find_agents(root, ask_version)
    agents = tuple(each for each in found if each.executable or each.unit or each.pid)
    servers = tuple(
        each for kind in (SERVER, PROXY) for each in find_programs(kind, root, ask_version)
    )
    if not (agents or options.push or options.external_check):
        raise SocketsError("there is no Zabbix agent on this host", _hint(found, bool(servers)))
    readers = [(each.user, each.groups) for each in agents]
    if options.external_check:
        readers += [(each.user, each.groups) for each in servers]
    return Scene(
        machine,
        own,
        record,
        options,
        accounts,
        agents,
        servers,
        choose_group(readers, accounts),
        no_iterators,
        no_libbpf,
    )


def _hint(found: list[InstalledAgent], has_server: bool) -> str:
    left = f" (there is {found[0].config_path}, and no program)" if found else ""
    if has_server:
        return f"install one{left}, or let the Zabbix server here ask: setup --external-check"
    return (
        f"install one{left}, or push documents without: setup --push --server ADDRESS --host NAME"
    )


def make_plan(scene: Scene) -> Part:
    """Return all that is to be done, in order; what is restarted comes last."""
    plan = Part()
    if scene.options.keys:
        plan.add(plan_keys(scene))
    if scene.options.external_check:
        plan.add(plan_external_check(scene))
    elif scene.servers:
        plan.notes.append(
            f"a Zabbix {scene.servers[0].kind} is here: with --external-check it can ask this"
            " machine without an agent"
        )
    plan.add(plan_module(scene))
    plan.add(plan_memory(scene))
    plan.add(plan_units(scene))
    if scene.options.push:
        plan.add(plan_push(scene))
    if plan.actions and scene.accounts.gid(scene.group) is None:
        plan.actions.insert(0, _make_group(scene))
    plan.notes += _former_installation(scene)
    return plan


def _make_group(scene: Scene) -> Action:
    words = ["groupadd", "--system", scene.group]
    entry = Entry(GROUP, scene.group)
    return Command(scene.machine, f"there is a group {scene.group}", words, entries=[entry])


def _former_installation(scene: Scene) -> list[str]:
    """Return the note on an environment that this installation has replaced; none if none is."""
    here = [each for each in (_OLD_LINK, _OLD_HOME) if scene.machine.has(each)]
    if scene.own.command != COMMAND or not here:
        return []
    folders = " ".join([*here, f"{_OLD_HOME}-2*"] if _OLD_HOME in here else here)
    return [f"a former installation is left: rm -rf {folders}"]
