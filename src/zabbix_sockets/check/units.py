"""systemd's units: whether they are there, enabled, and run; and what they last said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.distribution import newer_libbpf
from zabbix_sockets.check.line import Line, broken, degraded, ok, unknown
from zabbix_sockets.check.system import System

LOAD_UNIT, MOUNT_UNIT = "zabbix-sockets-load.service", r"run-zabbix\x2dsockets.mount"
SEND_UNIT = "zabbix-sockets-send.service"

LOAD = "load unit"

_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system",
            "/lib/systemd/system")  # fmt: skip
_BOOTED = "/run/systemd/system"
_OUR_ERROR = "zabbix-sockets: "
_ERROR = re.compile(r"error|can't|cannot|failed|invalid|unable|unknown", re.IGNORECASE)
_NOT_SPAWNED = re.compile(r"Failed (?!with result)")
"""What systemd says, behind the unit's name, of a program that it could not start."""
_OF_SYSTEMD = ("Starting ", "Started ", "Stopping ", "Stopped ", "Failed to start ", "Finished ",
               "Deactivated ", "-- ", "Reloading ", "Reloaded ", "Scheduled ")  # fmt: skip
_BANNER = ("Starting Zabbix Agent", "Zabbix Agent2 hostname:", "Press Ctrl+C to exit")
"""What both agents print when they start in the foreground."""
_SHOWN = ("LoadState", "UnitFileState", "ActiveState", "Result", "ConditionResult",
          "ConditionTimestampMonotonic", "NeedDaemonReload", "StatusText", "User", "Group",
          "ExecStart", "MainPID")  # fmt: skip
_SETUP = "zabbix-sockets setup"
_NO_GROUP, _OLD_LIBBPF = "no group ", "libbpf is too old for the kernel"
"""What `load` says of a group that isn't there, and of a libbpf that can't read the kernel's types
(readers.groups, readers.bpf.loader)."""


def has_systemd(system: System) -> bool:
    """Whether systemd is the service manager of this host: see sd_booted(3)."""
    return system.exists(_BOOTED)


def has_unit(system: System, name: str) -> bool:
    """Whether systemd is here and has the file of a unit."""
    return has_systemd(system) and any(system.exists(f"{each}/{name}") for each in _FOLDERS)


def state_of(system: System, unit: str) -> dict[str, str]:
    """Return properties of a unit by name, as of systemctl(1); none if systemd doesn't answer."""
    shown = ",".join(_SHOWN)
    output = system.run("systemctl", "show", "--no-pager", f"--property={shown}", "--", unit)
    if output.status or not output.in_time:
        return {}
    pairs = (line.partition("=") for line in output.text.splitlines())
    return {name: value for name, equals, value in pairs if equals}


def last_words(system: System, unit: str) -> str:
    """Return the journal's last words on why a unit ended: an error, else any line of its own.

    Empty: nothing, or the caller may not read it, which takes root or the group systemd-journal.
    """
    output = system.run(
        "journalctl", "--unit", unit, "--boot", "--lines=20", "--output=cat", "--no-pager"
    )
    if output.status or not output.in_time:
        return ""
    lines = [line for line in output.text.splitlines() if _tells(line, unit)]
    own = [line for line in lines if line.startswith(_OUR_ERROR)]  # a hint is below it
    errors = [line for line in lines if _ERROR.search(line)]
    return (own or errors or lines or [""])[-1].removeprefix(f"{unit}: ")


def _tells(line: str, unit: str) -> bool:
    """Whether a line of the journal is the program's own, or says why systemd could not start it.

    Systemd's other lines about the unit tell no cause, nor do those of an agent that starts.
    """
    if line.startswith(f"{unit}: "):
        return _NOT_SPAWNED.match(line, len(f"{unit}: ")) is not None
    return bool(line) and not line.startswith((*_OF_SYSTEMD, *_BANNER))


def is_meant_to_run(system: System, agent: Agent) -> bool:
    """Whether an agent that doesn't run should: its unit has failed, or is started at boot."""
    if not agent.unit or not has_systemd(system):
        return False
    state = state_of(system, agent.unit)
    return state.get("ActiveState") == "failed" or state.get("UnitFileState") == "enabled"


def check_load_unit(system: System, _agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of the units that mount the bpffs and load the iterators at boot."""
    if not has_systemd(system):
        yield unknown(
            LOAD,
            "no systemd runs here: whether something runs `zabbix-sockets load` at each boot can't"
            " be seen",
            "zabbix-sockets setup --dry-run",
        )
        return
    if not has_unit(system, LOAD_UNIT):
        yield degraded(
            LOAD,
            f"there is no {LOAD_UNIT}: nothing loads the BPF iterators at boot",
            "zabbix-sockets setup",
        )
        return
    states = {unit: state_of(system, unit) for unit in (MOUNT_UNIT, LOAD_UNIT)}
    failures = (_check_unit(system, *each) for each in states.items())
    line = next(filter(None, failures), None)
    if not line and states[LOAD_UNIT].get("UnitFileState") == "disabled":
        line = degraded(LOAD, f"{LOAD_UNIT} is not started at boot", _SETUP)
    line = line or next(filter(None, starmap(_check_start, states.items())), None)
    yield line or ok(LOAD, f"{LOAD_UNIT} has loaded the BPF iterators, and will at the next boot")


def load_command(system: System) -> str:
    """Return the command that has the iterators loaded; empty: a newer libbpf has to be there.

    A unit that is disabled, or was never started, lacks what `setup` does; so does one of whose
    failure `setup` removes the cause.
    """
    if not has_unit(system, LOAD_UNIT):
        return "zabbix-sockets load"
    state = state_of(system, LOAD_UNIT)
    if state.get("ActiveState") == "failed":
        said = last_words(system, LOAD_UNIT)
        return "" if _OLD_LIBBPF in said else _again(said)
    if state.get("UnitFileState") == "disabled" or _was_never_started(state):
        return _SETUP
    return f"systemctl restart {LOAD_UNIT}"


def _again(said: str) -> str:
    """Return the command after a failure of the load unit whose program *said* why."""
    return _SETUP if _NO_GROUP in said else f"systemctl restart {LOAD_UNIT}"


def _was_never_started(state: Mapping[str, str]) -> bool:
    """Whether nobody has tried to start a unit since the boot, or since systemd knows it.

    Its ConditionResult says nothing then: systemd has not looked at its conditions.
    """
    inactive = state.get("ActiveState") == "inactive"
    return inactive and state.get("ConditionTimestampMonotonic", "0") == "0"


def _check_unit(system: System, unit: str, state: Mapping[str, str]) -> Line | None:
    """Return the line of one of these units that has failed or is masked; None: neither."""
    active = state.get("ActiveState", "")
    if not active:
        return unknown(LOAD, "systemd doesn't answer", f"systemctl status {LOAD_UNIT}")
    if active == "failed":
        said = last_words(system, unit) or f"systemd says {state.get('Result', 'nothing')}"
        if _OLD_LIBBPF in said:
            mend = newer_libbpf(system)
            where = "" if mend else "; this distribution has none, so do without the iterators"
            return degraded(
                LOAD,
                f"{unit} has failed: {said}{where}",
                mend or f"systemctl disable --now {LOAD_UNIT}",
            )
        return broken(LOAD, f"{unit} has failed: {said}", _again(said))
    if state.get("LoadState") == "masked":
        return degraded(LOAD, f"{unit} is masked", f"systemctl unmask '{unit}'")
    return None


def _check_start(unit: str, state: Mapping[str, str]) -> Line | None:
    """Return the line of a unit that is not started, now or at boot, as its file says."""
    active = state["ActiveState"]
    if state.get("NeedDaemonReload") == "yes":
        return degraded(
            LOAD,
            f"the file of {unit} has changed since systemd read it",
            f"systemctl daemon-reload && systemctl reload-or-restart {LOAD_UNIT}",
        )
    if active == "active":
        return None
    if _was_never_started(state):
        return broken(LOAD, f"{unit} was never started", _SETUP)
    if state.get("ConditionResult") == "no":
        return ok(LOAD, f"{unit} is skipped: no CAP_BPF here, as in a container")
    return broken(LOAD, f"{unit} is not started ({active})", f"systemctl start {LOAD_UNIT}")
