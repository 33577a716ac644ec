"""A question asked by an agent, whose connection all that it starts inherits."""

import json
import os
import select
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import zoo
from children import Child, set_comm

SOURCES = ("bpf", "sock_diag", "procfs")
PORT = 7501


@pytest.fixture
def server() -> Iterator[str]:
    """Return the name of a Python server that does nothing, as this one's programs are called."""
    name = os.path.basename(sys.executable)

    with Child(lambda: zoo.listener(port=7502), name.encode()):
        yield name


def hold_question(command: str, listener: socket.socket) -> int:
    """Be another process of the agent, whose shell has a connection and is about to run *command*.

    Return a descriptor; the shell ends when it is closed, as it is at the end of the caller.
    """
    read, write = os.pipe()
    with socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
    if not os.fork():
        if not os.fork():
            os.dup2(read, 0)
            connection.set_inheritable(True)
            os.execv("/bin/sh", ["sh", "-c", f"read _ && {command}"])
        for fd in (write, listener.fileno(), connection.fileno()):
            os.close(fd)
        os.wait()
        os._exit(0)
    os.close(read)
    connection.close()
    return write


def serve(command: str, ready: int, other: str) -> None:
    """Be a zabbix_agentd 6.0 that accepts one connection and answers it with what *command* says.

    What it starts has the connection, as no descriptor is closed and each is inherited. Another
    of its processes is about to answer *other*, if that is not empty.
    """
    set_comm(b"zabbix_agentd")
    server = zoo.listener(port=PORT)
    if other:
        hold_question(other, server)
    os.write(ready, b"r")
    connection, _ = server.accept()
    connection.set_inheritable(True)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        os.dup2(write, 1)
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, 1 << 10)
        os.execv("/bin/sh", ["sh", "-c", command])
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    connection.sendall(answer)
    connection.close()
    os._exit(0)


def ask(command: str, other: str = "") -> dict[str, Any]:
    """Return what an agent answers to *command* while it is asked *other*."""
    wait, ready = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            serve(command, ready, other)
        finally:
            os._exit(1)
    os.close(ready)
    assert os.read(wait, 1) == b"r"
    os.close(wait)
    with socket.create_connection(("127.0.0.1", PORT), 60) as client:
        answer = b""
        while select.select([client], [], [], 60)[0] and (data := client.recv(65536)):
            answer += data
    assert os.waitpid(pid, 0)[1] == 0
    document = json.loads(answer)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "command",
    ["{}", "{}; true", "cat </dev/null | {} | cat", "({}; true) & wait", "setsid --wait {}"],
    ids=["exec", "shell", "pipeline", "background", "session"],
)
def test_question_counts_nothing_of_itself(
    server: str, pins: str, source: str, command: str
) -> None:
    """The agent has its connection, and nobody else; what has the program's name has its own.

    That are an idle server, and this test with the other end.
    """
    get = f"{sys.executable} -m zabbix_sockets get --source {source} --pins {pins} --netns own"
    document = ask(command.format(f"{get} --timeout 60"))
    rows = {row["id"]: row for row in document["processes"]}
    assert not rows.keys() & {"sh", "cat", "setsid"}
    assert server in rows, document
    same = rows[server]
    assert (same["instances"], same["sockets"], same["tcp"]["inbound"]) == (2, 2, 0)
    agent = rows["zabbix_agentd"]
    assert (agent["tcp"]["listen"], agent["tcp"]["inbound"]) == (1, 1)
    host = document["host"]["tcp"]
    assert (host["established"], document["collector"]["unowned"]) == (2, 0)
    listener = next(row for row in document["listeners"] if row.get("port") == PORT)
    assert (listener["processes"], listener["established"]) == (1, 1)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("other", "shells"), [("{} count x", 0), ("cat", 1)], ids=str)
def test_questions_at_the_same_time(pins: str, source: str, other: str, shells: int) -> None:
    """One counts nothing of the other; what else the agent has started is counted."""
    program = f"{sys.executable} -m zabbix_sockets"
    get = f"{program} get --source {source} --pins {pins} --netns own --timeout 60"
    document = ask(f"{get}; true", other.format(program))
    rows = {row["id"]: row for row in document["processes"]}
    assert rows["zabbix_agentd"]["tcp"]["listen"] == 1
    assert rows.get("sh", {"instances": 0})["instances"] == shells


@pytest.mark.parametrize("source", SOURCES)
def test_connection_that_nobody_else_has(pins: str, source: str) -> None:
    """It is in the host's figures, and in no row of a process."""
    get = f"{sys.executable} -m zabbix_sockets get --source {source} --pins {pins} --netns own"
    wait, go = os.pipe()
    server = zoo.listener()
    client, accepted = zoo.pair(server)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        set_comm(b"zabbix_agent2")
        inner = os.fork()
        if not inner:
            os.close(go)
            os.set_inheritable(accepted.fileno(), True)
            os.dup2(write, 1)
            os.read(wait, 1)  # until no other process has it
            os.execv("/bin/sh", ["sh", "-c", f"{get} --timeout 60"])
        for each in (server, client, accepted):
            each.close()
        os.close(write)
        os.close(go)
        os.waitpid(inner, 0)
        os._exit(0)
    os.close(write)
    accepted.close()
    os.close(wait)
    os.close(go)
    with os.fdopen(read, "rb") as pipe:
        document = json.loads(pipe.read())
    os.waitpid(pid, 0)
    assert document["host"]["tcp"]["established"] == 2
    assert sum(row["tcp"]["inbound"] for row in document["processes"]) == 0
    assert sum(row["tcp"]["outbound"] for row in document["processes"]) == 1
    assert document["collector"]["unowned"] == 0
