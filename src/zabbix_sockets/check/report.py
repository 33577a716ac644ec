"""All checks of this host, side by side, in bounded time; and what they say as a text."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import Result, gather, start
from zabbix_sockets.check.distribution import install
from zabbix_sockets.check.found import found_agents
from zabbix_sockets.check.line import (
    BROKEN,
    DEGRADED,
    OK,
    STATES,
    UNKNOWN,
    Line,
    degraded,
    ok,
    then,
    typed,
    unknown,
)
from zabbix_sockets.check.registry import AGENT_CHECKS, AGENTS, CHECK, HOST_CHECKS, SERVER_CHECKS
from zabbix_sockets.check.settings import CONFIG
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import is_meant_to_run
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.terminal.layout import BOLD, DIM, GREEN, RED, RESET, YELLOW, Style

SECONDS = 2.8
"""The time of all checks but those of the API."""
_TO_FIND = 0.8
_GRACE = 0.1

_COLOURS = {OK: GREEN, DEGRADED: YELLOW, BROKEN: RED, UNKNOWN: DIM}
_PLAIN_WIDTH = 100
_LEAST_WIDTH = 40


class Job(NamedTuple):
    """A check to be made: the name of its line if it doesn't end, and what yields its lines."""

    name: str
    work: Callable[[], Iterable[Line]]


def check_host(system: System, more: Sequence[Job] = ()) -> list[Line]:
    """Return the lines of all checks of the host, and of *more*, by the system's deadline.

    A check that doesn't end in time has the lines that it has said by then, and one that says so.
    """
    (found,) = gather([start(lambda: [found_agents(system)])], system.deadline.part(_TO_FIND))
    agents: tuple[Agent, ...] = found.values[0] if found.values else ()
    jobs = list(_jobs(system, agents))
    jobs += more
    children = [start(partial(_told, job)) for job in jobs]
    lines = [] if agents else [_without_agents(system, found.fault, ended=found.ended)]
    results = gather(children, Deadline(system.deadline.remaining() + _GRACE))
    for said in map(_lines_of, jobs, results):
        lines += said
    if not system.euid:
        return lines
    return list(map(_with_sudo if system.find("sudo") else _as_root, lines))


def _as_root(line: Line) -> Line:
    """Return the line with words that say who is to type its command, as there is no sudo."""
    return line._replace(next=line.next and f"as root: {line.next.removeprefix('sudo ')}")


def _with_sudo(line: Line) -> Line:
    """Return the line with a command that works for a caller who isn't root."""
    if not line.next or line.next.startswith("sudo "):
        return line
    is_simple = not any(each in line.next for each in ("&&", "|", ">", "$("))
    return line._replace(
        next=f"sudo {line.next}" if is_simple else typed("sudo", "sh", "-c", line.next)
    )


def _lines_of(job: Job, result: Result) -> list[Line]:
    """Return the lines that a check has said, and one if it has not said all."""
    lines = [Line(*value) for value in result.values]
    if result.fault:
        lines.append(unknown(CHECK, f"{job.name}: {result.fault}"))
    elif not result.ended:
        said = f"{job.name}: it did not end in time; a file, a mount or a name server hangs"
        lines.append(unknown(CHECK, said))
    return lines


def _told(job: Job) -> Iterable[tuple[str, ...]]:
    return map(tuple, job.work())


def _jobs(system: System, agents: Sequence[Agent]) -> Iterable[Job]:
    """Yield the checks in the order of their lines."""
    for check in HOST_CHECKS:
        yield Job(check.names[0], partial(check.run, system, agents))
    for agent in agents:
        if not _is_used(system, agent, agents):
            yield Job(agent.name, partial(_unused, agent))
            continue
        for each in AGENT_CHECKS:
            name = f"{agent.name} {each.names[0]}"
            yield Job(name, partial(each.run, system, agent))
    for check in SERVER_CHECKS:
        yield Job(check.names[0], partial(check.run, system, agents))


def _is_used(system: System, agent: Agent, agents: Sequence[Agent]) -> bool:
    """Whether an agent runs, or should, or none of this host does.

    Where both are installed, or one has left its file behind, the other is the one that is used.
    """
    others_run = any(each.process for each in agents)
    return bool(agent.process) or not others_run or is_meant_to_run(system, agent)


def _unused(agent: Agent) -> list[Line]:
    said = f"{agent.config} is there, but its agent doesn't run, and another one does"
    return [ok(f"{agent.name} {CONFIG}", said)]


def _without_agents(system: System, fault: str, *, ended: bool) -> Line:
    if fault or not ended:
        said = fault or "it took too long to look for agents"
        return unknown(AGENTS, said, "zabbix-sockets check")
    return degraded(
        AGENTS,
        "no Zabbix agent is installed here, as far as can be seen",
        then(install(system, "zabbix-agent2"), "zabbix-sockets setup"),
    )


def to_json(lines: Sequence[Line]) -> str:
    """Return *lines* as an array of objects in JSON, one to a line."""
    objects = (json.dumps(each._asdict(), ensure_ascii=False) for each in lines)
    return "[" + ",\n ".join(objects) + "]\n"


def render(lines: Sequence[Line], style: Style) -> str:
    """Return *lines* as a text for people: state, name and message; below it the command to type.

    Messages are wrapped at the terminal's width; commands never are, so that they can be copied.
    """
    indent = max([len(each) for each in STATES]) + 2
    column = indent + max((len(each.name) for each in lines), default=0) + 2
    width = max(_LEAST_WIDTH, style.width or _PLAIN_WIDTH)
    texts = [_rendered(each, indent, column, width, style) for each in lines]
    return "".join(texts) + _summary(lines, style)


def _rendered(line: Line, indent: int, column: int, width: int, style: Style) -> str:
    words = textwrap.wrap(
        line.message,
        max(_LEAST_WIDTH // 2, width - column),
        break_long_words=False,  # a path, which can be copied so
        break_on_hyphens=False,
    ) or [""]
    state = f"{line.state:{indent}}"
    if style.colours:
        state = f"{_COLOURS[line.state]}{state}{RESET}"
    text = f"{state}{line.name:{column - indent}}{words[0]}\n"
    text += "".join(f"{'':{column}}{each}\n" for each in words[1:])
    if line.next:
        command = f"{BOLD}{line.next}{RESET}" if style.colours else line.next
        text += f"{'':{indent}}# {command}\n"
    return text


def _summary(lines: Sequence[Line], style: Style) -> str:
    """Return the line at the end: how many things are in each state."""
    counts = []
    for state in reversed(STATES):
        count = sum(each.state == state for each in lines)
        if count:
            shown = f"{count} {state}"
            counts.append(f"{_COLOURS[state]}{shown}{RESET}" if style.colours else shown)
    return "\n" + ", ".join(counts) + "\n"
