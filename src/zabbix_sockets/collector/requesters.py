"""The processes of an agent's request for sockets, which own none of those in the answer.

zabbix_agentd runs a command in a child of the process that accepted the server's connection, and
what it starts inherits that connection: the child, a shell, sudo, a pipeline, this program. Each of
them would count as a further owner of that connection, in every answer. An agent's processes ask
at the same time (one for each server, one for each item), so the processes of all such requests
are left out.

Source: proc(5): /proc/PID/stat, /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN, Linux 4.2).
"""

from __future__ import annotations

import os
import sys
from _collections_abc import Iterator

from zabbix_sockets.model import shortage
from zabbix_sockets.readers.proc.files import MAX_BYTES, read_bytes
from zabbix_sockets.readers.proc.process import read_command, read_parent

_AGENT = b"zabbix_agent"  # zabbix_agentd, zabbix_agent2
_MOST_ANCESTORS = 64
_MOST_DESCENDANTS = 256


def requesting_processes(
    proc: str = "/proc", pid: int | None = None, program: bytes | None = None
) -> frozenset[int]:
    """Return the pids of the processes that belong to requests for sockets.

    *pid* is the process that collects, by default the caller. With an agent among its ancestors
    they are all processes that the agent has started for this request, and for other requests to
    *program*: the beginning of a command line with spaces between the arguments, by default this
    process's own. Without an agent they are *pid*, and its parent if that has the same command
    line, since it waits for this one then. Nothing is raised: processes that can't be seen are
    not among them.
    """
    pid = pid or os.getpid()
    chain = [pid]
    agents = []
    for ancestor, comm in _ancestors(proc, pid):
        if comm.startswith(_AGENT):
            agents.append(ancestor)
        elif agents:
            break
        else:
            chain.append(ancestor)
    if agents:
        program = _own_program() if program is None else program
        others = _requests(proc, agents[-1], program) if program else ()
        return frozenset({*chain, *_descendants(proc, chain[-1]), *others})
    copies = [each for each in chain[1:2] if _is_copy(proc, each, pid)]
    return frozenset((pid, *copies))


def _own_program() -> bytes:
    """Return the beginning of this process's command line: interpreter, its options, program.

    b"" if it can't be read.
    """
    try:
        command = read_bytes("/proc/self/cmdline")
    except OSError as error:
        shortage.note(error)
        return b""
    arguments = command.split(b"\0")[:-1]
    return b" ".join(arguments[: len(arguments) - len(sys.argv) + 1])


def _requests(proc: str, agent: int, program: bytes) -> Iterator[int]:
    """Yield the pids of all requests to *program*; *agent* is the agent's first process.

    A request is a child of that, or of another process of the agent, with all its descendants, if
    the command line of one of these has *program* in it: it runs it, or is a shell that will.
    """
    for parent in (agent, *_children(proc, agent)):
        for child in _children(proc, parent):
            if read_parent(proc, child)[0].startswith(_AGENT):
                continue
            request = {child, *_descendants(proc, child)}
            if any(program in _command(proc, each) for each in request):
                yield from request


def _ancestors(proc: str, pid: int) -> Iterator[tuple[int, bytes]]:
    """Yield pid and comm of the parent, its parent and so on, until one can't be read."""
    _, pid = read_parent(proc, pid)
    for _ in range(_MOST_ANCESTORS):
        if pid <= 0:
            return
        comm, parent = read_parent(proc, pid)
        yield pid, comm
        pid = parent


def _descendants(proc: str, pid: int) -> set[int]:
    """Return the pids of the descendants of *pid*, at most some hundreds."""
    found: set[int] = set()
    waiting = [pid]
    while waiting and len(found) < _MOST_DESCENDANTS:
        new = set(_children(proc, waiting.pop())) - found
        found |= new
        waiting += new
    return found


def _children(proc: str, pid: int) -> Iterator[int]:
    task = f"{proc}/{pid}/task"
    try:
        for tid in os.listdir(task):
            yield from map(int, read_bytes(f"{task}/{tid}/children").split())
    except (OSError, ValueError):
        return  # ended, hidden, or a kernel without these files


def _is_copy(proc: str, one: int, other: int) -> bool:
    """Whether two processes have the same command line.

    A parent and its child do, where the child was forked and has executed no other program since,
    as the process that collects is by the one that waits for it. A shell, or a script that
    calls the command, has another one, and does not belong to the request.
    """
    mine = _command(proc, one)
    return bool(mine) and mine == _command(proc, other)


def _command(proc: str, pid: int) -> bytes:
    return read_command(proc, pid, MAX_BYTES)
