"""The layers: what each module of the package may import, and what a call of the agent pays."""

import ast
import fnmatch
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zabbix_sockets
from zabbix_sockets.verbs import CONFIG

PACKAGE = Path(zabbix_sockets.__file__).parent
WORDS = (
    "shortage",
    "model",
    "sockets",
    "quality",
    "errors",
    "deadline",
    "names",
    "programs",
    "addresses",
)
SOURCES = ("readers.*", *WORDS)
WISHES = (
    *(f"provision.{name}" for name in ("options", "templates", "frontend", "interfaces", "macros")),
    "errors",
)
ROWS = ("rows", "rows.*", "groups", *WORDS)

# A module (the first pattern that fits) and all that it may import of this package. Each
# imports only to its right: nothing imports cli, only verbs a verb's own module, only
# collector the readers, and no reader another one but for the small files of /proc/PID.
MAY_IMPORT = {
    # The public names.
    "__init__": ("collector.*", "report", "names", "model", "sockets", "errors"),
    "__main__": ("cli",),
    "plain": ("verbs", "groups", "lock", "model"),
    "cli": ("arguments", "plain", "errors", "lock", "supervisor"),
    "arguments": (
        *("verbs", "groups", "__init__", "model", "errors"),
        *("provision.options", "sending.options"),
    ),
    "verbs": (
        *("collector.ahead", "collector.asking", "collector.snapshot", "collector.stream"),
        *("sending.command", "provision.command", "provision.failures", "filters.parser"),
        *(
            "show",
            "monitor",
            "sockets",
            "table",
            "discovery",
            "counting",
            "lock",
            "pins",
            "supervisor",
        ),
        *("configuration", "ruled", "report"),
        *ROWS,
    ),
    "provision": (),
    "provision.command": ("provision.*", "errors"),
    "provision.inventory": ("provision.api", "provision.plan", *WISHES),
    "provision.api": (
        "provision.interrupt",
        "provision.failures",
        "provision.credentials",
        *WISHES,
    ),
    "provision.plan": ("provision.failures", *WISHES),
    "provision.options": WISHES,
    "provision.credentials": ("provision.macros", "errors"),
    "provision.templates": ("errors",),
    "provision.failures": ("errors",),
    "provision.*": (),
    "sending": (),
    "sending.command": ("sending.*", "errors"),
    "sending.service": ("sending.*", "rows", "errors"),
    "sending.pusher": ("sending.*", "rows", "errors"),
    "sending.target": ("sending.*", "errors"),
    "sending.contents": ("sending.*", "rows"),
    "sending.figures": ("discovery", "rows"),
    "sending.delivery": (
        *("sending.spool", "sending.database", "sending.transport", "sending.lines", "errors"),
    ),
    "sending.spool": ("sending.database", "sending.lines", "errors"),
    "sending.transport": ("sending.launch", "sending.lines", "errors"),
    "sending.*": ("errors",),
    "monitor": ("show", "sockets", "table", *ROWS),
    "show": ("table", *ROWS),
    "table": ("rows", "cells"),
    "discovery": ROWS,
    "counting": ROWS,
    "provision.interrupt": (),
    "supervisor": ("errors",),
    "lock": ("deadline", "errors"),
    "pins": ("readers.bpf", "readers.libbpf", "readers.pinned", "model", "errors"),
    "head": ROWS,
    "report": ("head", "__init__", *ROWS),
    "rows": WORDS,
    "rows.*": ("rows", "groups", *WORDS),
    "configuration": ("rules", "filters.parser", "files", "errors"),
    "ruled": ("groups", "rules", "model"),
    "groups": ("model", "names"),
    "collector": (),
    "collector.ahead": SOURCES,
    "collector.plan": SOURCES,
    "collector.by_cgroup": ("owners", *SOURCES),
    "collector.shared": ("deadline",),
    "collector.places": ("collector.shared", "cgroups", *SOURCES),
    "collector.facts": ("collector.places", "collector.shared", "cgroups", *SOURCES),
    "collector.records": ("collector.ends", "fold", "owners", *SOURCES),
    "collector.namespaces": ("collector.plan", "collector.places", "fold", "cgroups", *SOURCES),
    "collector.*": ("collector.*", "filters.*", "fold", "owners", *SOURCES),
    "filters": (),
    "filters.*": ("filters.*", "owners", "model", "names", "cells", "errors"),
    "fold": ("model", "quality", "addresses"),
    "owners": ("model",),
    "readers.bpf": ("readers.pinned", *WORDS),
    "readers.pinned": ("readers.bpf", "readers.mounts"),
    "readers.libbpf": ("readers.bpf", "readers.process", *WORDS),
    "readers.cgroup": ("shortage", "readers.process", "cgroups", "deadline"),
    "readers.containers": ("shortage", "readers.homes", "files", "cgroups", "deadline"),
    "readers.homes": ("shortage", "readers.mounts", "readers.passwd"),
    "readers.passwd": (
        "shortage",
        "files",
    ),
    "readers.netlink": ("readers.inet_diag", "readers.attributes", *WORDS),
    "readers.inet_diag": ("readers.attributes", *WORDS),
    "readers.tcp_info": ("readers.attributes", *WORDS),
    "readers.*": ("readers.process", "owners", *WORDS),
    "readers": (),
    "rules": ("names",),
    "cgroups": (),
    "sockets": (),
    "quality": (),
    "addresses": (),
    "programs": ("names",),
    "names": (),
    "cells": (),
    "files": (),
    "deadline": ("errors",),
    "model": (),
    "errors": (),
    "shortage": (),
}
PURE = (
    *(
        "fold",
        "owners",
        "groups",
        "report",
        "head",
        "rows",
        "rows.*",
        "discovery",
        "model",
        "errors",
    ),
    *("ruled", "rules", "cgroups", "names", "programs", "cells"),
    *(f"filters.{name}" for name in ("terms", "words", "states", "parser", "faults")),
    *(f"provision.{name}" for name in ("plan", "options", "frontend", "interfaces", "macros")),
)
IO = {"os", "sys", "io", "socket", "_socket", "subprocess", "ctypes", "select", "resource"}
VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "tools"}

SLOW = {"unicodedata", "shutil", "subprocess", "socket", "hashlib", "ctypes"}
OWN_SLOW = {
    f"zabbix_sockets.{name}"
    for name in ("show", "monitor", "pins", "readers.libbpf", "provision", "sending", "filters")
}
ALONE = ("--netns", "own", "--timeout", "60")  # as on a host without other namespaces
BY_ITERATOR = ("cli", "report", "collector.snapshot", "collector.iterated")
# What only hosts with a configuration file need, or with other namespaces if BPF is the source.
RULES = {
    f"zabbix_sockets.{name}" for name in ("configuration", "ruled", "rules", "collector.facts")
}
NAMESPACES = {
    *(f"zabbix_sockets.collector.{name}" for name in ("namespaces", "by_cgroup", "tables")),
    *(f"zabbix_sockets.collector.{name}" for name in ("places", "facts")),
    *(f"zabbix_sockets.readers.{name}" for name in ("netns", "containers", "homes", "mounts")),
    "zabbix_sockets.cgroups",
}


def name_of(path: Path) -> str:
    """Return a module's name within the package; the package itself is __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> Iterator[str]:
    """Yield all that a module imports, also within functions, by whole names."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner.partition("zabbix_sockets.")[2] in MODULES
                yield inner if is_module else node.module or ""


def own_imports(path: Path) -> set[str]:
    """Return the modules of this package that a module imports."""
    prefix = "zabbix_sockets"
    own = {name for name in imports(path) if name.split(".")[0] == prefix}
    return {name.removeprefix(prefix).lstrip(".") or "__init__" for name in own}


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of *patterns* is *name*."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_to_its_right(module: str) -> None:
    """A module imports of this package only what its layer may."""
    layer = next((layer for layer in MAY_IMPORT if fits(module, (layer,))), None)
    assert layer, f"{module} is in no layer: say in MAY_IMPORT where it belongs"
    beyond = {name for name in own_imports(MODULES[module]) if not fits(name, MAY_IMPORT[layer])}
    assert not beyond, f"{module} may import {MAY_IMPORT[layer]}"


@pytest.mark.parametrize("module", [name for name in MODULES if fits(name, PURE)])
def test_pure_modules_do_no_io(module: str) -> None:
    """What only computes imports nothing to do I/O with, and opens nothing."""
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not IO & {name.split(".")[0] for name in imports(MODULES[module])}
    assert not {"open", "print", "input"} & called


@pytest.mark.parametrize("module", MODULES)
def test_names_say_something(module: str) -> None:
    """No module is a drawer for whatever fits nowhere."""
    assert not VAGUE & set(module.split("."))


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__"])
def test_no_imports_for_types_alone(module: str) -> None:
    """What a type needs is imported for Python too; only the public names come later."""
    assert "TYPE_CHECKING" not in MODULES[module].read_text("utf-8")


def loaded_by(*command: str) -> set[str]:
    """Return the names of all modules that a call imports, as `-X importtime` tells them."""
    answer = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", *command],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line for line in answer.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


CALL = (
    "from zabbix_sockets import cli, supervisor;"
    "supervisor.answer_within = lambda _seconds, make, silent: make();"
    "cli.main()"
)
"""A call whose work is done in the process itself: what a child imports can't be seen."""

IMPORTED_BY_ITERATOR = "; ".join(f"import zabbix_sockets.{name}" for name in BY_ITERATOR)


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import zabbix_sockets.cli"),
        ("-c", IMPORTED_BY_ITERATOR),
        ("-c", CALL, "get", "--source", "sock_diag", *ALONE),
        ("-c", CALL, "get", "--source", "procfs", *ALONE),
        ("-c", CALL, "get", "--help"),
    ],
    ids=["import", "bpf", "sock_diag", "procfs", "help"],
)
def test_agent_pays_only_for_what_it_needs(command: tuple[str, ...]) -> None:
    """A call of the agent imports nothing that only people's verbs or rare hosts need."""
    loaded = loaded_by(*command)
    assert "zabbix_sockets.cli" in loaded
    assert not (SLOW | OWN_SLOW) & loaded
    if not os.path.exists(CONFIG):
        assert not RULES & loaded
    if "get" not in command:
        assert not NAMESPACES & loaded


@pytest.mark.parametrize("grouping", ["unit", "container", "user"])
def test_groupings_need_no_rules(grouping: str) -> None:
    """Rules are for the grouping by process: no other one reads the configuration file."""
    loaded = loaded_by("-c", CALL, "get", grouping, "--source", "procfs", *ALONE)
    assert "zabbix_sockets.collector.facts" in loaded
    assert not (RULES - {"zabbix_sockets.collector.facts"}) & loaded
