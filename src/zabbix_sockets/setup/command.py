"""The work of the verb `setup`: the plan is made, then done or printed, and the host is checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from zabbix_sockets.host.agents import find_agents
from zabbix_sockets.model.errors import SocketsError, UsageError, printable
from zabbix_sockets.readers.bpf.capabilities import why_may_not_load
from zabbix_sockets.readers.bpf.records import why_not_permitted
from zabbix_sockets.setup.actions import DONE, KEPT, TO_DO, Action, Command
from zabbix_sockets.setup.installation import check_installation
from zabbix_sockets.setup.libbpf import why_libbpf_fails
from zabbix_sockets.setup.machine import Machine
from zabbix_sockets.setup.options import SetupOptions
from zabbix_sockets.setup.plan import look, make_plan
from zabbix_sockets.setup.record import FOLDER, SetupRecord
from zabbix_sockets.setup.removal import undo
from zabbix_sockets.setup.scene import Part, this_installation

_WIDTH = 9


def setup(options: SetupOptions, check: Callable[[], None]) -> None:
    """Set this host up and call *check*, which raises SocketsError too, or take that back.

    Each step is printed.

    Raises:
        SocketsError: a step failed, something stands in the way, or *check* finds something broken.
    """
    _check_options(options)
    is_root = os.geteuid() == 0
    if not (is_root or options.dry_run):
        raise SocketsError(
            "only root may set this host up", "as root: zabbix-sockets setup; or look: --dry-run"
        )
    machine = Machine()
    if options.remove:
        _remove(machine, options)
        return
    own = this_installation()
    if is_root:
        check_installation(own)
    no_iterators = why_not_permitted() or (why_may_not_load() if is_root else None) or ""
    no_libbpf = "" if no_iterators else why_libbpf_fails(may_load=is_root)
    record = SetupRecord()
    plan = make_plan(look(machine, own, options, record, no_iterators, no_libbpf))
    if options.dry_run:
        print_plan(plan)
        return
    problems = carry_out(plan, record, restart=_restarts(options))
    sys.stdout.write("\n")
    try:
        check()
    except SocketsError as error:
        problems.append(str(error))
    if problems:
        raise SocketsError(
            "; ".join(problems), "mend that, and call setup again: what is done stays done"
        )


def _check_options(options: SetupOptions) -> None:
    if (options.server or options.host) and not options.push:
        raise UsageError("--server and --host are for --push")
    if options.remove and (options.push or options.external_check or not options.keys):
        raise UsageError("--remove takes back all that was done: no other option goes with it")


def print_plan(plan: Part) -> None:
    """Print the commands of all that is to be done, and what a person is to know as comments."""
    commands = [
        action.command
        for action in [*plan.actions, *plan.restarts]
        if action.state == TO_DO or (action.state == KEPT and action.entries)
    ]
    for command in commands:
        sys.stdout.write(f"{printable(command)}\n")
    if not (commands or plan.faults):
        all_is_well = "nothing is to be changed" if plan.notes else "all is as it should be"
        sys.stdout.write(f"# {all_is_well}\n")
    for text in [*plan.faults, *plan.notes]:
        sys.stdout.write(f"# {printable(text)}\n")


def carry_out(plan: Part, record: SetupRecord, *, restart: Callable[[Action], bool]) -> list[str]:
    """Do all that is to be done; *restart* says of each restart whether it is wanted now.

    Return what failed or is in the way, in a few words; none: nothing.
    """
    failed = [each for each in plan.actions if not _do(each, record)]
    for action in plan.restarts:
        if restart(action):
            failed += [] if _do(action, record) else [action]
        else:
            _say("to do", action.command)
    for text in plan.faults:
        _say("missing", text)
    for text in plan.notes:
        _say("note", text)
    done = [each for each in (*plan.actions, *plan.restarts) if each.state != DONE]
    if not (done or plan.faults):
        _say("ok", "all is as it should be: nothing was changed")
    steps = len(plan.actions) + len(plan.restarts)
    problems = [f"{len(failed)} of {steps} steps failed"] if failed else []
    return problems + ["something is missing"] * bool(plan.faults)


def _do(action: Action, record: SetupRecord) -> bool:
    """Do *action* if that is to be done, and print what became of it; return whether it is well."""
    if action.state == DONE:
        _say("ok", action.what)
        return True
    try:
        for entry in action.entries:
            record.add(entry)
        action.do()
    except (OSError, SocketsError) as error:
        _say("failed", f"{action.command}: {_reason(error)}")
        return False
    if action.state == KEPT:
        _say("kept", action.what)
    else:
        _say("done", action.what)
    return True


def _reason(error: OSError | SocketsError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _say(label: str, text: str) -> None:
    sys.stdout.write(f"{label:{_WIDTH}}{printable(text)}\n")
    sys.stdout.flush()


def _restarts(options: SetupOptions) -> Callable[[Action], bool]:
    """Return whether an action that restarts something is wanted: by option, or by asking."""

    def ask(action: Action) -> bool:
        if options.restart:
            return True
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return False
        sys.stdout.write(f"{printable(action.command)}: now? [y/N] ")
        sys.stdout.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    return ask


def _remove(machine: Machine, options: SetupOptions) -> None:
    """Take back what the record has, the last thing first, and print each step.

    Raises:
        SocketsError: a step failed.
    """
    record = SetupRecord(machine.root)
    if not record.entries:
        _say("ok", f"there is nothing to take back: {FOLDER} has no record")
        return
    undoing = [(entry, undo(machine, entry)) for entry in reversed(record.entries)]
    if options.dry_run:
        plan = _as_plan(machine, [action for _, action in undoing])
        plan.restarts += _restarts_of_agents(machine)
        print_plan(plan)
        return
    failed = 0
    for entry, action in undoing:
        if _undone(action):
            record.drop(entry)
        else:
            failed += 1
    if machine.has_systemd:
        machine.run(["systemctl", "daemon-reload"])
    for action in _restarts_of_agents(machine):
        if not options.restart:
            _say("to do", action.command)
        elif not _undone(action):
            failed += 1
    if failed:
        raise SocketsError(f"{failed} steps failed", "mend that, and call setup --remove again")


def _restarts_of_agents(machine: Machine) -> list[Command]:
    """Return the restarts of the agents that run: until then they keep the keys."""
    units = [each.unit for each in find_agents(machine.root) if each.unit and each.pid]
    return [
        Command(machine, f"{unit} was restarted", ["systemctl", "try-restart", unit])
        for unit in (units if machine.has_systemd else ())
    ]


def _undone(action: Action) -> bool:
    """Take something back by *action*, and print what became of it; return whether it is well."""
    if action.state != TO_DO:
        _say("ok" if action.state == DONE else "kept", action.what)
        return True
    try:
        action.do()
    except (OSError, SocketsError) as error:
        _say("failed", f"{action.command}: {_reason(error)}")
        return False
    _say("kept" if action.state == KEPT else "done", action.what)
    return True


def _as_plan(machine: Machine, actions: Sequence[Action]) -> Part:
    plan = Part()
    plan.actions += actions
    if machine.has_systemd:
        words = ["systemctl", "daemon-reload"]
        plan.actions.append(Command(machine, "systemd knows that they are gone", words))
    for action in actions:
        if action.state == KEPT:
            plan.notes.append(action.what)
    return plan
