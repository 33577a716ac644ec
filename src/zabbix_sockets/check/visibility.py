"""What hides processes from an agent: hidepid of /proc, and cgroups of the old kind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import Line, degraded, ok, typed, unknown
from zabbix_sockets.check.system import System
from zabbix_sockets.readers.proc.mounts import read_mounts

HIDEPID, CGROUPS = "hidepid", "cgroups"

_HIDING = {"1", "2", "4", "noaccess", "invisible", "ptraceable"}


def check_hidepid(system: System, agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of /proc, as this process and as each agent's process sees it."""
    own = _options(system, "self")
    if own.get("hidepid", "0") in _HIDING:
        readers = [each for each in agents if each.runs_as]
        if readers and all(_is_exempt(each, own) for each in readers):
            why = (
                f"gid={own['gid']} lets agents" if own.get("gid") else "agents run as root, who may"
            )
            yield ok(HIDEPID, f"hidepid={own['hidepid']}, and {why} see all")
            return
        gid = next((each.runs_as.gid for each in readers if each.runs_as), None)
        yield degraded(
            HIDEPID,
            f"/proc is mounted with hidepid={own['hidepid']}: an agent learns the names of other"
            " users' processes from the iterators alone, and rules by command line or user can't be"
            f" decided{_next_boot(system)}",
            "" if gid is None else f"mount -o remount,gid={gid} /proc",
        )
        return
    unread = []
    for agent in agents:
        if not agent.process:
            continue
        theirs = _options(system, str(agent.process.pid))
        if not theirs:
            unread.append(agent.name)
        elif theirs.get("hidepid", "0") in _HIDING and not _is_exempt(agent, theirs):
            yield _of_unit(agent, theirs["hidepid"])
            return
    if unread:
        said = f"/proc hides nothing from this user; that of {' and '.join(unread)} may not be read"
        yield unknown(HIDEPID, said, "sudo zabbix-sockets check")
    else:
        yield ok(HIDEPID, "/proc hides no process")


def _next_boot(system: System) -> str:
    """Return in words where the option for the next boot is; empty: not in /etc/fstab."""
    lines = (line.split() for line in (system.read("/etc/fstab") or "").splitlines())
    hides = any(
        len(fields) > 3 and fields[1] == "/proc" and "hidepid=" in fields[3]  # noqa: PLR2004
        for fields in lines
        if not fields[:1] or not fields[0].startswith("#")
    )
    return ". /etc/fstab has the option: give it gid= there for the next boot" if hides else ""


def _is_exempt(agent: Agent, options: dict[str, str]) -> bool:
    """Whether the group of the mount option gid= sees all, and the agent is in it, or root."""
    user, gid = agent.runs_as, int(options.get("gid", "0"))
    if not user:
        return False
    return user.uid == 0 or (gid != 0 and gid in (user.gid, *user.groups))


def _of_unit(agent: Agent, hidepid: str) -> Line:
    """Return the line of an agent whose unit hides processes from it (systemd.exec(5))."""
    said = f"{agent.name} runs with ProtectProc=, as hidepid={hidepid}: names of other users'"
    said += " processes come from the iterators alone, and some rules can't be decided"
    if not agent.unit:
        return degraded(HIDEPID, said)
    folder = f"/etc/systemd/system/{agent.unit}.d"
    return degraded(
        HIDEPID,
        said,
        f"{typed('mkdir', '-p', folder)} && printf '[Service]\\nProtectProc=default\\n'"
        f" > {typed(f'{folder}/zz-protect-proc.conf')} && systemctl daemon-reload"
        f" && {agent.restart}",
    )


def _options(system: System, process: str) -> dict[str, str]:
    """Return the options of /proc as *process* has it mounted; none if that may not be read."""
    found: dict[str, str] = {}
    for each in read_mounts(system.proc, process):
        if each.path == "/proc" and each.filesystem == b"proc":
            pairs = (option.partition("=") for option in os.fsdecode(each.options).split(","))
            found = {"proc": "", **{name: value for name, _, value in pairs}}
    return found


def check_cgroups(system: System, _agents: Sequence[Agent]) -> Iterator[Line]:
    """Yield the line of cgroups: version 2 alone tells without privilege whose a socket is."""
    kinds = {each.filesystem for each in read_mounts(system.proc)}
    if b"cgroup2" in kinds:
        yield ok(CGROUPS, "version 2, which tells the units and containers of sockets")
    elif b"cgroup" in kinds:
        yield degraded(
            CGROUPS,
            "version 1 alone is mounted: `get unit` and `get container` know only the sockets of"
            " processes that may be inspected, unless the iterators are loaded. Boot with"
            " systemd.unified_cgroup_hierarchy=1",
        )
    else:
        yield unknown(CGROUPS, "none are mounted here: units and containers are not known")
