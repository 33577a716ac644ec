"""A process is called the same by every source and for every privilege."""

from __future__ import annotations

import ctypes
import grp
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import zoo
from children import Child, run_as, run_forked
from json_documents import json_document

from zabbix_sockets import Query, collect, iter_sockets
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.names import safe_name
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf import records
from zabbix_sockets.readers.proc.process import count_fds, read_stat

CLONE_NEWPID = 0x20000000
NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)

SOURCES = ("bpf", "sock_diag", "procfs")

# Listens, writes its arguments and its main thread's name as a program may, tells, and waits.
PROGRAM = r"""
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void *wait_for_end(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* In the environment: COMM, TITLE (replaces the arguments, unless it is empty), PORT, EXITS. */
int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0), exits = atoi(getenv("EXITS"));
	size_t room = argv[argc - 1] + strlen(argv[argc - 1]) - argv[0];
	char *comm = getenv("COMM"), *title = getenv("TITLE");
	pthread_t thread;

	address.sin_port = htons(atoi(getenv("PORT")));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (void *)&address, sizeof(address)) || listen(fd, 1))
		return 1;
	if (*title) {
		memset(argv[0], 0, room);
		strncpy(argv[0], title, room - 1);
	}
	if (*comm)
		prctl(PR_SET_NAME, comm);
	pthread_create(&thread, 0, wait_for_end, 0);
	puts("ready");
	fflush(stdout);
	if (exits)
		pthread_exit(0);
	return wait_for_end(0) != 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the program."""
    if os.geteuid():
        pytest.skip("other users' processes need root")
    folder = tmp_path_factory.mktemp("program")
    try:
        command = ["cc", "-x", "c", "-", "-pthread", "-o", f"{folder}/program"]
        subprocess.run(command, input=PROGRAM.encode(), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C compiler: {error}")
    return folder / "program"


@contextmanager
def running(
    executable: Path, argv0: str, comm: str, title: str, port: int, *, exits: bool = False
) -> Iterator[int]:
    """Run the program until the context is left; yield its pid."""
    environment = {"COMM": comm, "TITLE": title, "PORT": str(port), "EXITS": str(int(exits))}
    room = ["x" * len(title)] if title else []
    with subprocess.Popen(
        [argv0, *room], executable=executable, stdout=subprocess.PIPE, env=environment
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


CASES = [
    # name of the file, argv[0], comm, what the arguments become, expected
    ("node", "/opt/node/bin/node", "MainThread", "", "node"),
    ("node", "node", "node-MainThread", "", "node"),
    ("node", "node", "next-server (v1", "next-server (v14.2.3)", "next-server"),
    ("node", "node", "node /srv/app.j", "node /srv/app.js", "node"),
    ("python3.11", "/usr/bin/python3", "MainThread", "", "python3"),
    ("vector", "vector", "main", "", "vector"),
    ("traefik", "/traefik", "main", "", "traefik"),
    ("varnishd", "varnishd", "cache-main", "", "varnishd"),
    ("perl", "perl", "/usr/sbin/postg", "/usr/sbin/postgrey --inet=10023", "postgrey"),
    ("perl", "/usr/bin/perl", "/srv/none", "", "perl"),
    ("systemd-resolved", "/lib/systemd/systemd-resolved", "", "", "systemd-resolved"),
    ("x" * 255, "x", "main", "", safe_name(b"x" * 255)),
    ('a"{$M}\n: b', "x", "main", "", safe_name(b'a"{$M}\n: b')),
    (os.fsdecode(b"\xff\xfe"), "x", "main", "", "%FF%FE"),
    ("tool (deleted)", "x", "main", "", "tool"),
]


def executables(program: Path, folder: Path) -> list[Path]:
    """Copy the program under the names of CASES."""
    paths = []
    for number, (name, *_) in enumerate(CASES):
        path = folder / str(number) / name
        path.parent.mkdir()
        shutil.copy(program, path)
        paths.append(path)
    return paths


def names_by_port(source: str | None, pins: str, proc: str = "/proc") -> list[object]:
    """Return what the processes are called, as single sockets and the document have it."""
    query = Query(source, netns="own", pins=pins, proc=proc, timeout=30)
    single = {row.local_port: row.owners[0].name for row in iter_sockets(query) if row.owners}
    rows = json_document(collect(query))["listeners"]
    assert isinstance(rows, list)
    listed = {row["port"]: row["process"] for row in rows if row.get("process")}
    return [[sorted(single.items()), sorted(listed.items())]]


def group_id() -> int:
    """Return the id of the group that may read the pins."""
    return grp.getgrnam(PINS_GROUP).gr_gid


def by_every_way(pins: str) -> dict[str, list[object]]:
    """Return the same of every source, for every privilege that sees all owners."""
    found = {source: names_by_port(source, pins) for source in SOURCES}
    found["bpf, loaded by the call"] = names_by_port("bpf", "/nowhere")
    ways = {
        "nobody, pinned": ((), "bpf", pins),
        "nobody, loaded": (("CAP_BPF", "CAP_PERFMON"), "bpf", "/nowhere"),
        "nobody, /proc": (("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"), "sock_diag", pins),
    }
    for way, (capabilities, source, where) in ways.items():
        work = partial(names_by_port, source, where)
        answer = run_as(NOBODY, work, gid=group_id(), capabilities=capabilities)
        assert isinstance(answer, list)
        found[way] = answer
    return found


def as_answer(expected: dict[int, str]) -> list[object]:
    """Return what a child's JSON makes of names_by_port()."""
    pairs = [[port, name] for port, name in sorted(expected.items())]
    return [[pairs, pairs]]


def listed(answer: list[object]) -> object:
    """Return names_by_port() as a child's JSON gives it."""
    return json.loads(json.dumps(answer))


def test_same_name_by_every_way(pins: str, program: Path, tmp_path: Path) -> None:
    """Whoever looks, and by whatever source, a process is called the same."""
    expected = {}
    with ExitStack() as stack:
        for number, path in enumerate(executables(program, tmp_path)):
            _, argv0, comm, title, name = CASES[number]
            stack.enter_context(running(path, argv0, comm, title, 7800 + number))
            expected[7800 + number] = name
        for way, answer in by_every_way(pins).items():
            assert listed(answer) == as_answer(expected), way


def test_executables_that_are_hard_to_name(pins: str, program: Path, tmp_path: Path) -> None:
    """Removed, replaced, mounted, in memory, of a main thread that has exited."""
    removed, replaced, below, above, detached = (
        tmp_path / name for name in ("removed", "replaced", "below", "above", "detached")
    )
    for path in (removed, replaced, below, above, detached):
        shutil.copy(program, path)
    memory = os.memfd_create("tool")
    os.write(memory, program.read_bytes())
    with ExitStack() as stack:
        stack.callback(os.close, memory)
        for path in (above, detached):
            subprocess.run(["mount", "--bind", below, path], check=True)
        stack.callback(partial(subprocess.run, ["umount", above], check=True))
        run = partial(running, comm="main", title="")
        stack.enter_context(run(removed, "x", port=7901))
        stack.enter_context(run(replaced, "x", port=7902))
        stack.enter_context(run(above, "x", port=7903))
        stack.enter_context(run(detached, "argument", port=7904))
        stack.enter_context(run(Path(f"/proc/{os.getpid()}/fd/{memory}"), "x", port=7905))
        stack.enter_context(run(program, "x", port=7906, exits=True))
        removed.unlink()
        shutil.copy(program, tmp_path / "new")
        (tmp_path / "new").rename(replaced)
        subprocess.run(["umount", "--lazy", detached], check=True)
        names = ["removed", "replaced", "above", "argument", "tool", "program"]
        expected = dict(enumerate(names, 7901))
        for way, answer in by_every_way(pins).items():
            assert listed(answer) == as_answer(expected), way


def test_hidden_processes(pins: str, program: Path, open_folder: Path) -> None:
    """Where /proc hides others' processes, the iterator still tells what they execute."""
    path = open_folder / "vector"
    shutil.copy(program, path)
    hidden = open_folder / "proc"
    hidden.mkdir()
    subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", hidden], check=True)
    try:
        with running(path, "vector", "main", "", 7801):
            work = partial(names_by_port, "bpf", pins, str(hidden))
            answer = run_as(NOBODY, work, gid=group_id())
            assert answer == as_answer({7801: "vector"})
    finally:
        subprocess.run(["umount", hidden], check=True)


def test_plain_names_read_no_executables(pins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that meets plain names alone does without the program that tells executables."""
    opened = []
    really = records.open_pinned

    def open_pinned(directory: str) -> records.Opener:
        open_pin = really(directory)

        def opening(name: str) -> int:
            opened.append(name)
            return open_pin(name)

        return opening

    monkeypatch.setattr(records, "open_pinned", open_pinned)
    with Child(lambda: zoo.listener(port=7801), b"plain"):
        assert listed(names_by_port("bpf", pins))
    assert records.COUNT_SOCKETS in opened
    told_by_procfs = bool(count_fds("/proc", os.getpid()))  # else for the descriptors
    assert (records.DESCRIBE_PROCESSES in opened) is not told_by_procfs


def test_numbers_are_the_readers(pins: str) -> None:
    """Inside a pid namespace the iterator knows processes by their numbers there."""

    def inside() -> object:
        described = records.Processes(records.open_pinned(pins), Deadline(30))
        started = int(read_stat("/proc", "self")[2])  # /proc is the outer one
        name = described.executable(os.getpid(), started)
        return [os.getpid(), name and os.fsdecode(name), os.readlink("/proc/self/exe")]

    def outside() -> object:
        if _libc.unshare(CLONE_NEWPID):
            raise OSError(ctypes.get_errno(), "unshare")
        return run_forked(inside)

    pid, name, path = cast("list[Any]", run_forked(outside))
    assert (pid, name) == (1, os.path.basename(path))
