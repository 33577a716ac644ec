"""Very much of something that an ordinary user may have: names, command lines, listeners, files.

Beside it is a service whose sockets are known. The agent's user asks, has an answer in time
whatever there is, and is told right about everybody else. What the calls took is printed.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
import zoo
from asked import HOSTILE, Answer, as_hostile, rows
from children import Child

from zabbix_sockets.model.names import safe_name

pytestmark = pytest.mark.usefixtures("service")

Ask = Callable[..., Answer]


def most_descriptors() -> int:
    """Return how many descriptors a process may have here, and let this one have them."""
    with open("/proc/sys/fs/nr_open") as file:
        limit = int(file.read())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    except ValueError:  # no CAP_SYS_RESOURCE
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit - 500


@contextmanager
def sharing(number: int, open_some: Callable[[range], object], name: bytes) -> Iterator[None]:
    """Have *number* of something opened by as few processes of the hostile user as can be."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    each = most_descriptors()
    try:
        with ExitStack() as stack:
            for start in range(0, number, each):
                some = range(start, min(number, start + each))
                work = partial(as_hostile, partial(open_some, some))
                stack.enter_context(Child(work, name))
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# Makes processes that share their memory, so that there may be very many: each with a listener and
# a name of 15 bytes, which the kernel may have cut. They end with this one.
NAMES = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int hold(void *number)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char name[16];

	snprintf(name, sizeof(name), "hostile%08d", *(int *)number);
	address.sin_port = htons(10000 + *(int *)number);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	if (fd < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) || prctl(PR_SET_NAME, name) ||
			bind(fd, (void *)&address, sizeof(address)) || listen(fd, 1))
		_exit(1);
	if (write(1, ".", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	int count = atoi(argv[1]), at;
	size_t room = 8192;
	char *stacks = mmap(0, room * count, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (at = 0; at < count; at++) {
		int *number = (int *)(stacks + room * at);

		*number = at;
		if (clone(hold, stacks + room * (at + 1), CLONE_VM | SIGCHLD, number) < 0)
			return 1;
	}
	for (;;)
		pause();
}
"""
MANY_NAMES = 20_000


@pytest.fixture
def many_names(open_folder: Path) -> Iterator[None]:
    """Have MANY_NAMES processes of the hostile user, each with a name and a listener."""
    program = open_folder / "names"
    command = ["cc", "-x", "c", "-", "-o", str(program)]
    subprocess.run(command, input=NAMES.encode(), check=True)
    drop = ["setpriv", "--reuid", str(HOSTILE), "--regid", str(HOSTILE), "--clear-groups"]
    read, write = os.pipe()
    with subprocess.Popen([*drop, program, str(MANY_NAMES)], stdout=write) as process:
        os.close(write)
        try:
            ready = 0
            while ready < MANY_NAMES:
                told = os.read(read, 65536)
                assert told, f"only {ready} processes could be made"
                ready += len(told)
            yield
        finally:
            process.kill()
            while os.read(read, 65536):
                pass  # until the last of them has ended
            os.close(read)


@pytest.mark.short_form
@pytest.mark.usefixtures("many_names")
@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
def test_names(answers: Ask, source: str) -> None:
    """20,000 processes with a name each: rows are left out, and the document says how many."""
    document = answers(source, most_kb=MOST_KB_OF_LISTENERS).document
    left_out, kept = document["other"], document["listeners"]
    assert left_out["listeners"]["rows"] + len(kept) >= MANY_NAMES + 3
    assert document["host"]["tcp"]["listen"] == MANY_NAMES + 2
    if source == "bpf":
        held = sum(row["tcp"]["listen"] for row in document["processes"])
        assert held + left_out["processes"]["tcp"]["listen"] == MANY_NAMES + 2


INVISIBLE = (b"web", b"web\xc2\xad", b"web\xe2\x80\x8b", b"w\xe2\x80\xaeeb", b"web\x7f", b"web\xff")
"""Names that look the same: a soft hyphen, a space without width, text that runs backwards, DEL,
and a byte that is no UTF-8."""


def test_names_that_look_the_same(answers: Ask) -> None:
    """Each has a row of its own in every answer, with one listener; none has the service's."""
    with ExitStack() as stack:
        for number, name in enumerate((*INVISIBLE, b"witness\xc2\xad")):
            work = partial(as_hostile, partial(zoo.listener, port=7300 + number))
            stack.enter_context(Child(work, name))
        found = rows(answers().document, "processes")
    for name in INVISIBLE:
        assert found[safe_name(name)]["tcp"]["listen"] == 1
    assert len({*map(safe_name, INVISIBLE)}) == len(INVISIBLE)


LENGTH = 64 << 10
COMMAND_LINES = {
    "one word": [b"x" * LENGTH],
    "words": [b"x y" * (LENGTH // 3)],
    "empty": [b""] * LENGTH,
    "an error": [b'\n{"error":"x"}' * (LENGTH // 14)],
    "no UTF-8": [b"\xff\xfe" * (LENGTH // 2)],
    "regular": [b"a" * (LENGTH - 1) + b"!"],
}
"""Command lines: what stands at the place of the program's name, and behind it."""

LONG = "a-name-of-some-length"
"""A name that the kernel cuts, so that the command line is looked at."""

RULE = """
[[group]]
name = "long"
command = "x y|error"
"""


@contextmanager
def with_command_line(folder: Path, port: int, words: list[bytes]) -> Iterator[None]:
    """Have a program of the hostile user with a listener, a long name and this command line."""
    server = zoo.listener(port=port)
    read, write = os.pipe()
    # The words are parameters of the script, of which the first is in the place of argv[0].
    arguments = [words[0], b"-c", b"echo; read _", *words[1:]]
    process = subprocess.Popen(
        arguments,
        executable=folder / LONG,
        stdin=read,
        stdout=subprocess.PIPE,
        pass_fds=[server.fileno()],
        user=HOSTILE,
        group=HOSTILE,
        extra_groups=[],
    )
    server.close()
    os.close(read)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        yield
    finally:
        os.close(write)
        process.communicate()


@pytest.mark.parametrize("rule", ["", RULE], ids=["by name", "by a rule"])
def test_command_lines(answers: Ask, open_folder: Path, rule: str) -> None:
    """64 KB of anything: each process has its row, or that of the rule, which reads all of it."""
    (open_folder / LONG).symlink_to("/bin/sh")
    (open_folder / "rules.toml").write_text(rule)
    question = ("get", "--config", str(open_folder / "rules.toml"))
    with ExitStack() as stack:
        for number, words in enumerate(COMMAND_LINES.values()):
            stack.enter_context(with_command_line(open_folder, 7350 + number, words))
        answer = answers("bpf", *question)
    groups = rows(answer.document, "processes")
    expected = {"long": 2, LONG[:15]: len(COMMAND_LINES) - 2} if rule else {LONG[:15]: 6}
    assert {name: groups[name]["tcp"]["listen"] for name in expected} == expected
    assert answer.kind == "whole"


LISTENERS = 100_000


def listen_everywhere(numbers: range) -> object:
    """Hold listeners, on ports of four addresses."""
    for number in numbers:
        sock = socket.socket()
        sock.bind((f"127.0.1.{number % 4}", 10_000 + number // 4))
        sock.listen(1)
        sock.detach()
    return None


def listen_on_paths(numbers: range) -> object:
    """Hold unix sockets with abstract names."""
    for number in numbers:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(b"\0hostile%d" % number)
        sock.listen(1)
        sock.detach()
    return None


@pytest.mark.short_form
@pytest.mark.parametrize("source", ["bpf", "sock_diag"])
@pytest.mark.parametrize("kind", [listen_everywhere, listen_on_paths])
def test_listeners(answers: Ask, source: str, kind: Callable[[range], object]) -> None:
    """100,000 listeners: the service's are among the rows that are not left out."""
    with sharing(LISTENERS, kind, b"listens"):
        document = answers(source, most_kb=MOST_KB_OF_LISTENERS).document
    left_out = document["other"]["listeners"]
    assert document["collector"]["truncated"]["listeners"] == left_out["rows"]
    assert len(document["listeners"]) + left_out["rows"] == LISTENERS + 3
    assert left_out["sockets"] == left_out["rows"]
    if kind == listen_everywhere:
        assert document["host"]["tcp"]["listen"] == LISTENERS + 2


MOST_KB_OF_LISTENERS = 192 << 10
"""Each listener is kept by itself, other than a connection."""

DESCRIPTORS = 1_000_000


def duplicate(opened: Callable[[], int], numbers: range) -> object:
    """Hold descriptors of one file."""
    fd = opened()
    for _ in numbers:
        os.dup(fd)
    return fd


def a_file() -> int:
    """Open a file that is no socket."""
    return os.open(os.devnull, os.O_RDONLY)


def a_listener() -> int:
    """Open a listener."""
    return zoo.listener().fileno()


@pytest.mark.short_form
@pytest.mark.parametrize("opened", [a_file, a_listener])
def test_descriptors(answers: Ask, opened: Callable[[], int]) -> None:
    """A million descriptors of a file or of a listener, which counts once in each process."""
    with sharing(DESCRIPTORS, partial(duplicate, opened), b"descriptors"):
        processes = -(-DESCRIPTORS // most_descriptors())
        found = rows(answers().document, "processes")
    if opened is a_listener:
        row = found["descriptors"]
        assert (row["instances"], row["tcp"]["listen"]) == (processes, processes)
    else:
        assert "descriptors" not in found
