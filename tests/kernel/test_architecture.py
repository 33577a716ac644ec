"""The way of a socket through the modules is the one that docs/architecture.md tells."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import zoo
from modules import qualified_name

import zabbix_sockets
from zabbix_sockets import Limits, Query, build_document, collect
from zabbix_sockets.collector import record_reader

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = f"{Path(zabbix_sockets.__file__).parent}{os.sep}"
SOURCES = ("bpf", "sock_diag", "procfs")
MOST_MODULES = 15

TraceFunction = Callable[[FrameType, str, Any], Any]
Lines = set[tuple[CodeType, int]]


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the iterator be read without a thread, as where none can be had: here it is traced."""

    def refuse(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(record_reader, "start_new_thread", refuse)


def way(source: str) -> list[str]:
    """Return the functions of a source's column, by their whole names."""
    _, _, section = PAGE.partition("## The way of a socket")
    rows = re.findall(r"^\| [^|]+ \|(.*)\|(.*)\|(.*)\|$", section, re.MULTILINE)
    cells = [row[SOURCES.index(source)] for row in rows]
    return [name for cell in cells for name in re.findall(r"`([a-z_.]+\.[\w.]+)`", cell)]


def split(name: str) -> tuple[str, str]:
    """Return the module and what is in it."""
    parts = re.findall(r"[^.]+", name)
    at = next(at for at in range(len(parts), 0, -1) if is_module(".".join(parts[:at])))
    return ".".join(parts[:at]), ".".join(parts[at:])


def is_module(name: str) -> bool:
    """Whether the package has a module of that name."""
    return Path(f"{PACKAGE}{name.replace('.', os.sep)}.py").exists()


@contextmanager
def lines_run() -> Iterator[Lines]:
    """Have the package's lines that run meanwhile in this thread."""
    lines: Lines = set()

    def trace_line(frame: FrameType, _event: str, _argument: Any) -> TraceFunction:
        lines.add((frame.f_code, frame.f_lineno))
        return trace_line

    def trace(frame: FrameType, event: str, argument: Any) -> TraceFunction | None:
        ours = frame.f_code.co_filename.startswith(PACKAGE)
        return trace_line(frame, event, argument) if ours else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lines
    finally:
        sys.settrace(before)


def run(source: str, pins: str) -> Lines:
    """Return the lines that one document runs."""
    query = Query(source, 60.0, pins=pins, netns="own", tcp_info=True)
    with lines_run() as lines:
        build_document(collect(query), Limits())
    return lines


def module_of(code: CodeType) -> str:
    """Return the name of a function's module."""
    return code.co_filename.removeprefix(PACKAGE).removesuffix(".py").replace(os.sep, ".")


@pytest.mark.parametrize("source", SOURCES)
def test_way_of_a_socket(source: str, pins: str) -> None:
    """Whatever runs for an established connection alone is on its way, which is a short one."""
    server = zoo.listener()  # so that the process is known
    zoo.udp_bound()
    run(source, pins)  # imports
    without = set().union(*(run(source, pins) for _ in range(3)))
    zoo.pair(server)
    lines = set.intersection(*(run(source, pins) for _ in range(3)))
    modules = {split(name)[0] for name in way(source)}
    assert {module_of(code) for code, _ in lines - without} <= modules
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("source", SOURCES)
def test_functions_of_the_way_run(source: str, pins: str) -> None:
    """The way's functions are there and are called."""
    zoo.everything()
    called = {(module_of(code), qualified_name(code)) for code, _ in run(source, pins)}
    for name in way(source):
        module, function = split(name)
        found = importlib.import_module(f"zabbix_sockets.{module}")
        for part in function.split("."):
            found = getattr(found, part)
        is_value = hasattr(found, "_fields")  # a NamedTuple has no function to be called
        assert is_value or any(
            each == module and inner.startswith(function) for each, inner in called
        ), name


def test_numbers_of_modules() -> None:
    """The page counts right."""
    counts = [len({split(name)[0] for name in way(source)}) for source in SOURCES]
    assert "These are {}, {} and {} modules.".format(*counts) in PAGE
