"""The processes that ask: what belongs to the question is no part of the answer.

zabbix_agentd runs a command in a child of the process that accepted the server's connection, and
what it starts inherits that connection: the child, a shell, sudo, a pipeline, this program. They
would be its owners besides the agent, at every question once. The agent's processes ask at the same
time (one for each server, one for each item), so the questions of all of them are left out.

Source: proc(5): /proc/PID/stat, /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN, Linux 4.2).
"""

import os
import sys
from collections.abc import Iterator

from zabbix_sockets.readers.proc.process import MAX_BYTES, read_bytes, read_command

_AGENT = b"zabbix_agent"  # zabbix_agentd, zabbix_agent2
_MOST_ANCESTORS = 64
_MOST_DESCENDANTS = 256


def asking_processes(
    proc: str = "/proc", pid: int | None = None, program: bytes | None = None
) -> frozenset[int]:
    """Return the processes that belong to the question that *pid* (the caller) answers.

    These are itself and, with an agent among its ancestors, all that the agent has started for
    it, and for other questions to *program*: the beginning of a command line, with spaces, by
    default this process's own. Without an agent its parent is of them if that is a copy of
    itself, which waits for it. To be called by the process that collects. Nothing raises: who
    can't be seen is left out.
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
        others = _questions(proc, agents[-1], _own_program() if program is None else program)
        return frozenset({*chain, *_descendants(proc, chain[-1]), *others})
    copies = [each for each in chain[1:2] if _is_copy(proc, each, pid)]
    return frozenset((pid, *copies))


def _own_program() -> bytes:
    """Return how this process was started, without the arguments of the command itself."""
    begin = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    return b" ".join(map(os.fsencode, begin))


def _questions(proc: str, agent: int, program: bytes) -> Iterator[int]:
    """Yield the processes of all questions to *program* of an agent's first process.

    A question is a child of that, or of another process of the agent, and what it has started;
    one of these runs *program*, or is a shell that is about to.
    """
    for asker in (agent, *_children(proc, agent)):
        for child in _children(proc, asker):
            if _read(proc, child)[0].startswith(_AGENT):
                continue
            question = {child, *_descendants(proc, child)}
            if any(program in _command(proc, each) for each in question):
                yield from question


def _ancestors(proc: str, pid: int) -> Iterator[tuple[int, bytes]]:
    """Yield pid and comm of the parent, its parent and so on, as far as they are to be seen."""
    _, pid = _read(proc, pid)
    for _ in range(_MOST_ANCESTORS):
        if pid <= 0:
            return
        comm, parent = _read(proc, pid)
        yield pid, comm
        pid = parent


def _read(proc: str, pid: int) -> tuple[bytes, int]:
    """Return comm and parent of a process; the parent is 0 if it can't be known."""
    try:
        data = read_bytes(f"{proc}/{pid}/stat")
        end = data.rfind(b")")
        return data[data.find(b"(") + 1 : end], int(data[end + 2 :].split(None, 2)[1])
    except (OSError, IndexError, ValueError):
        return b"", 0


def _descendants(proc: str, pid: int) -> set[int]:
    """Return the processes that *pid* and those it started have started."""
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
    calls the command, has another one, and is no part of the question.
    """
    mine = _command(proc, one)
    return bool(mine) and mine == _command(proc, other)


def _command(proc: str, pid: int) -> bytes:
    return read_command(proc, pid, MAX_BYTES)
