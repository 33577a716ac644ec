"""`check` and the kernel: pins that a user may not read, and a /proc that hides processes."""

from __future__ import annotations

import ctypes
import grp
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from children import run_as, run_forked

from zabbix_sockets.check.agents import Agent, AgentProcess
from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import BROKEN, DEGRADED, OK, UNKNOWN, Line
from zabbix_sockets.check.pins import check_pins
from zabbix_sockets.check.system import System
from zabbix_sockets.check.totals import check_totals
from zabbix_sockets.check.visibility import check_hidepid
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf.pins import find_pins, load, unload
from zabbix_sockets.readers.bpf.records import TOTAL_PROCESSES, pin_path

NOBODY = 65534
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


def system(pins: str = "/nonexistent") -> System:
    """Return this host, with its pins in another folder."""
    return System("", "/proc", Deadline(60), pins, os.geteuid())


def agent(user: User) -> Agent:
    """Return an agent that runs as *user*; its process is this one."""
    process = AgentProcess(os.getpid(), 0.0, user)
    return Agent("agentd", "", "", (), (), "", user, process, "zabbix-agent.service", "", "")


def user_in(*groups: str) -> User:
    """Return the user nobody in these groups, the first of which is its own."""
    gids = [grp.getgrnam(each).gr_gid for each in groups]
    return User("nobody", NOBODY, gids[0], tuple(gids[1:]))


@contextmanager
def loaded(group: str, *, with_totals: bool = False) -> Iterator[str]:
    """Load the iterators, and what counts, for *group*, into a folder of their own."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    os.chmod(folder, 0o755)
    try:
        load(folder, group, with_totals=with_totals)
        yield folder
    finally:
        unload(folder)
        os.rmdir(folder)


def reads(pins: str, user: User) -> object:
    """Return whether a process of *user* may really read all pins."""

    def look() -> object:
        return all(os.access(path, os.R_OK) for path in find_pins(pins))

    def with_groups() -> object:
        os.setgroups(user.groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
        return look()

    return run_forked(with_groups)


def line_of(pins: str, user: User) -> Line:
    """Return the line of the pins for an agent of *user*."""
    (line,) = check_pins(system(pins), (agent(user),))
    return line


@pytest.mark.parametrize(
    ("groups", "state"),
    [
        ((PINS_GROUP,), OK),
        (("nogroup", PINS_GROUP), OK),
        (("nogroup",), BROKEN),
        (("daemon", "nogroup"), BROKEN),
    ],
)
def test_who_reads_the_pins(groups: tuple[str, ...], state: str) -> None:
    """Judged by owner, mode and groups as the kernel judges, though root could read them all."""
    user = user_in(*groups)
    with loaded(PINS_GROUP) as pins:
        line = line_of(pins, user)
        assert reads(pins, user) == (state == OK)
    assert line.state == state
    if state == BROKEN:
        command = f"usermod -aG {PINS_GROUP} nobody && systemctl restart zabbix-agent.service"
        assert line.next == command


def test_pins_of_another_group() -> None:
    """Pins that were loaded for another group are not for one in group zabbix."""
    with loaded("daemon") as pins:
        line = line_of(pins, user_in(PINS_GROUP))
    assert line.state == BROKEN
    assert "it is not in the group daemon" in line.message


def test_folder_of_the_pins_is_closed() -> None:
    """A folder on the way that is closed is named, and opening it is enough."""
    with loaded(PINS_GROUP) as pins:
        os.chmod(pins, 0o700)
        line = line_of(pins, user_in(PINS_GROUP))
        assert (line.state, line.next) == (BROKEN, f"chmod a+rx {pins}")
        subprocess.run(line.next.split(), check=True)
        assert line_of(pins, user_in(PINS_GROUP)).state == OK


def test_unloaded() -> None:
    """Where nothing is loaded an agent sees less, and that is said."""
    folder = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
    line = line_of(folder, user_in(PINS_GROUP))
    os.rmdir(folder)
    assert (line.state, line.next) == (DEGRADED, "zabbix-sockets load")


def line_of_totals(pins: str) -> tuple[str, str]:
    """Return the state and the message of the line of the totals."""
    (line,) = check_totals(system(pins))
    return line.state, line.message


def test_totals() -> None:
    """That they are counted is said with since when; and so is that they are not."""
    with loaded(PINS_GROUP, with_totals=True) as pins:
        state, message = line_of_totals(pins)
        refused = run_as(NOBODY, partial(line_of_totals, pins))
    assert state == OK
    assert re.match(r"counted since 20\d\d-.* processes and listeners", message)
    path = pin_path(pins, TOTAL_PROCESSES)
    assert refused == [UNKNOWN, f"they can't be read: [Errno 13] Permission denied: '{path}'"]
    with loaded(PINS_GROUP) as pins:
        state, message = line_of_totals(pins)
    assert (state, message.split(":")[0]) == (
        OK,
        "connections a second, failures and bytes are not counted",
    )
    assert not list(check_totals(system("/nonexistent")))


def test_folder_that_is_no_bpffs() -> None:
    """Files with the names of pins are none."""
    with loaded(PINS_GROUP) as pins, tempfile.TemporaryDirectory() as folder:
        for path in find_pins(pins):
            open(f"{folder}/{os.path.basename(path)}", "w").close()
        assert "is no bpffs" in line_of(folder, user_in(PINS_GROUP)).message


def hiding(option: str, user: User) -> list[object]:
    """Return what is so where /proc is mounted with *option*, before and after the command.

    That is: the state of the line, and whether *user* sees the first process.
    """

    def sees() -> object:
        return run_as(NOBODY, partial(os.path.exists, "/proc/1/status"), user.gid)

    def work() -> list[object]:
        assert _libc.unshare(CLONE_NEWNS) == 0
        assert _libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) == 0
        assert _libc.mount(b"proc", b"/proc", b"proc", 0, option.encode()) == 0
        (line,) = check_hidepid(system(), (agent(user),))
        found: list[object] = [line.state, sees()]
        if line.next:
            subprocess.run(line.next.split(), check=True)
            (line,) = check_hidepid(system(), (agent(user),))
            found += [line.state, sees()]
        return found

    result = run_forked(work)
    assert isinstance(result, list)
    return result


@pytest.mark.parametrize("option", ["hidepid=2", "hidepid=invisible", "hidepid=1"])
def test_hidepid(option: str) -> None:
    """A /proc that hides processes is named, and the command lets the agent's group see them."""
    before, saw, after, sees = hiding(option, user_in(PINS_GROUP))
    assert (before, after) == (DEGRADED, OK)
    assert not saw or option == "hidepid=1"  # that one shows the folders
    assert sees


def test_nothing_hides_processes() -> None:
    """Without the option all is well."""
    assert hiding("hidepid=0", user_in(PINS_GROUP)) == [OK, True]
