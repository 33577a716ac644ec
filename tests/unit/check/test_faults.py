"""Every fault that `check` names is made, and named with the right next command."""

from __future__ import annotations

import ast
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zabbix_sockets import check
from zabbix_sockets.check import (
    asking,
    caller,
    containers,
    kernel,
    keys,
    memory,
    pins,
    push,
    selinux,
    servers,
    settings,
    totals,
    units,
    visibility,
)
from zabbix_sockets.check.children import Result
from zabbix_sockets.check.line import Line
from zabbix_sockets.command.arguments import parse

from . import agent_faults, host_faults, server_faults
from .trees import Fault, Tree

FAULTS = [*host_faults.FAULTS, *agent_faults.FAULTS, *server_faults.FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault(fault: Fault, tmp_path: Path) -> None:
    """It is named, once, with its state, its reason and the command that mends it."""
    lines = list(fault.make(Tree(tmp_path)))
    (line,) = (each for each in lines if each.name == fault.name)
    assert fault.message in line.message
    assert line.state == fault.state
    begin, *more = fault.next.split("...")
    assert line.next.startswith(begin) if more else line.next == begin
    assert all(part in line.next for part in more)
    for part in line.next.split(" && "):
        program, *arguments = shlex.split(part) or [""]
        if program == "zabbix-sockets":
            assert parse(arguments)  # it is one that the command takes


NAMING = ("degraded", "broken", "unknown")
ELSEWHERE = {"template.py", "server.py", "report.py"}
"""Modules whose faults are made by tests/zabbix/test_check.py and test_report.py."""


def naming_calls() -> set[tuple[str, int]]:
    """Return the file and line of each call in the package that names a fault."""
    return {
        (path.name, node.lineno)
        for path in Path(check.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in NAMING and path.name not in ELSEWHERE
    }


def test_every_fault_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no call that names a fault but those of the faults above."""
    made = set()

    def recorded(name: str) -> Callable[..., Line]:
        def record(*arguments: str) -> Line:
            caller = sys._getframe(1)  # who calls is what is asked
            made.add((Path(caller.f_code.co_filename).name, caller.f_lineno))
            return Line(arguments[0], name, arguments[1], "")

        return record

    for module in (caller, containers, kernel, keys, memory, pins, push, selinux, servers, settings,
                   totals, units, visibility, asking):  # fmt: skip
        for name in NAMING:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, recorded(name))
    for module in (asking, servers):  # what is done in a child can't be seen
        monkeypatch.setattr(module, "start", lambda work, _user=None: list(work()))
        monkeypatch.setattr(
            module, "gather", lambda said, _: [Result(each, ended=True, fault="") for each in said]
        )
    for number, fault in enumerate(FAULTS):
        folder = tmp_path / str(number)
        folder.mkdir()
        list(fault.make(Tree(folder)))
    assert naming_calls() - made == set()
