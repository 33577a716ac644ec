"""The layers: what each module of the package may import, and what a call of the agent pays."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from modules import MODULES, imports, own_imports, tree_of

from zabbix_sockets.model.paths import CONFIG

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
_, _, LAYERS = PAGE.read_text("utf-8").partition("```layers\n")
LAYERS = LAYERS.partition("```")[0]
"""The rules: docs/architecture.md says what they mean."""
MOST_RULES = 25
PURE = (
    *(
        "model",
        "grouping",
        "document",
        "collector.row_fold",
        "collector.directions",
        "collector.sums",
        "filters.terms",
    ),
    *("filters.words", "filters.states", "filters.parser", "filters.faults", "provision.plan"),
    *("provision.options", "provision.frontend", "provision.interfaces", "provision.macros"),
    *("service_map.told", "service_map.matching", "service_map.drawing", "service_map.sheets"),
    *("service_map.layout", "service_map.labels", "service_map.zabbix_map", "service_map.upkeep"),
    "service_map.boxes",
    *("service_map.printed", "service_map.options"),
)
BUT_FOR = ("model.addresses", "document.count", "document.json_text")
"""They write addresses as the C library does, read names as arguments of the command are, and look
whether orjson is imported."""
IO = {"os", "sys", "io", "socket", "_socket", "subprocess", "ctypes", "select", "resource"}
VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc", "tools"}

SLOW = {"orjson", "json", "unicodedata", "shutil", "subprocess", "socket", "hashlib", "ctypes"}
TYPING = {"typing", "re", "enum"}
LIBRARY = {"functools", "collections", "operator", "types"}
"""What a call does without on a host like most: what it needs of them is in model.light_typing
and model.light_library."""
OWN_SLOW = {
    "zabbix_sockets.terminal",
    "zabbix_sockets.readers.bpf.pins",
    "zabbix_sockets.readers.bpf.loader",
    "zabbix_sockets.provision",
    "zabbix_sockets.service_map",
    "zabbix_sockets.sending",
    "zabbix_sockets.filters",
}
ALONE = ("--netns", "own", "--timeout", "60")  # as on a host without other namespaces
BY_ITERATOR = (
    "zabbix_sockets.command.cli",
    "zabbix_sockets.command.verbs",
    "zabbix_sockets.command.answers",
    "zabbix_sockets.command.admitted",
    "zabbix_sockets.document.document",
    "zabbix_sockets.document.row_totals",
    "zabbix_sockets.collector.collect",
    "zabbix_sockets.collector.iterator.collection",
)
BY_TABLES = "zabbix_sockets.collector.tables.collection"
# What only hosts with a configuration file need, or with other namespaces if BPF is the source.
RULES = {
    "zabbix_sockets.configuration",
    "zabbix_sockets.grouping.by_rules",
    "zabbix_sockets.grouping.rules",
    "zabbix_sockets.collector.process_facts",
}
NAMESPACES = {
    "zabbix_sockets.collector.namespaces",
    "zabbix_sockets.collector.tables.cgroup_owners",
    "zabbix_sockets.collector.tables.collection",
    "zabbix_sockets.collector.places",
    "zabbix_sockets.collector.process_facts",
    "zabbix_sockets.readers.proc.namespaces",
    "zabbix_sockets.readers.containers.runtimes",
    "zabbix_sockets.readers.containers.homes",
    "zabbix_sockets.readers.containers.names_file",
    "zabbix_sockets.readers.containers.descriptions",
    "zabbix_sockets.readers.containers.runtime_files",
    "zabbix_sockets.model.container_names",
    "zabbix_sockets.readers.proc.mounts",
    "zabbix_sockets.model.placement",
}


def rules() -> dict[str, set[str]]:
    """Return what is to the right of each name in LAYERS, at once."""
    right: dict[str, set[str]] = {}
    for line in LAYERS.strip().splitlines():
        left, _, names = line.partition(" -> ")
        for name in left.split(", "):
            right.setdefault(name, set()).update(names.split(", "))
    return right


def reached(start: str, following: Callable[[str], Collection[str]]) -> set[str]:
    """Return all that follows *start*, and what follows that."""
    seen: set[str] = set()
    new = {start}
    while new:
        new = {name for each in new for name in following(each)} - seen
        seen |= new
    return seen


RIGHT = rules()
NAMED = RIGHT.keys() | set().union(*RIGHT.values())


def layer_of(module: str) -> str:
    """Return the longest name in LAYERS that is the module's, or a folder's that it is in."""
    parts = module.split(".")
    names = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next(name for name in names if name in NAMED)


def test_layers_are_no_circle() -> None:
    """No layer is to its own right, and each is there; the rules are few."""
    circles = {
        layer for layer in NAMED if layer in reached(layer, lambda name: RIGHT.get(name, set()))
    }
    assert not circles
    assert not NAMED - MODULES.keys()
    assert len(LAYERS.splitlines()) <= MOST_RULES


def test_imports_only_to_its_right() -> None:
    """A module imports what is to the right of its layer, also within functions."""
    allowed = {
        layer: {layer} | reached(layer, lambda name: RIGHT.get(name, set())) for layer in NAMED
    }
    wrong = {
        module: beyond
        for module, path in MODULES.items()
        if (beyond := {layer_of(name) for name in own_imports(path)} - allowed[layer_of(module)])
    }
    assert not wrong


def test_no_circles() -> None:
    """No module imports itself by way of others, nor when a function of it is called."""

    def needed(name: str) -> frozenset[str]:
        return own_imports(MODULES[name])

    assert not {module for module in MODULES if module in reached(module, needed)}


def is_pure(module: str) -> bool:
    """Whether a module, or a folder that it is in, only computes."""
    return module not in BUT_FOR and any(f"{module}.".startswith(f"{name}.") for name in PURE)


def test_pure_modules_do_no_io() -> None:
    """What only computes imports nothing to do I/O with, and opens nothing."""
    pure = {module: path for module, path in MODULES.items() if is_pure(module)}
    assert len(pure) > len(PURE)
    wrong = {module: found for module, path in pure.items() if (found := io_of(path))}
    assert not wrong


def io_of(path: Path) -> set[str]:
    """Return the modules and functions for I/O that a module uses."""
    called = {
        node.func.id
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    imported = {name.split(".")[0] for name in imports(path)}
    return (IO & imported) | ({"open", "print", "input"} & called)


def test_names_say_something() -> None:
    """No module is a drawer for whatever fits nowhere."""
    assert not {module for module in MODULES if VAGUE & set(module.split("."))}


FOR_TYPES = {
    *("__init__", "collector.places", "collector.sources", "document.listeners"),
    *("document.record", "model.light_typing", "model.light_library", "model.snapshot"),
}


def test_no_imports_for_types_alone() -> None:
    """What a type needs is imported for Python too.

    Only the public names come later, and the tables' readers, while the iterator is read; totals
    where they are loaded, clients where they are asked for, and the names of containers where
    there is one; and what Python 3.9 lacks is for mypy alone, as what is heavy is in
    model.light_typing and model.light_library.
    """
    found = {name for name, path in MODULES.items() if "TYPE_CHECKING" in path.read_text("utf-8")}
    assert found == FOR_TYPES


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
    "from zabbix_sockets.command import cli, supervisor;"
    "supervisor.answer_within = lambda _seconds, make, silent: make();"
    "cli.main()"
)
"""A call whose work is done in the process itself: what a child imports can't be seen."""

WAITING = "from zabbix_sockets.command import cli; import sys; print(*sys.modules)"
"""What the process imports that waits for the one that works."""

IMPORTED_BY_ITERATOR = "; ".join(f"import {name}" for name in BY_ITERATOR)


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import zabbix_sockets.command.cli"),
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
    assert "zabbix_sockets.command.cli" in loaded
    assert not (SLOW | OWN_SLOW) & loaded
    if not os.path.exists(CONFIG):
        assert not RULES & loaded
    assert ("argparse" in loaded) == ("--help" in command)
    if "get" not in command:  # a process that is called as long as comm is one of those for re
        assert not (NAMESPACES | TYPING | LIBRARY) & loaded


def test_tables_need_no_slow_module() -> None:
    """Whoever reads the tables, and looks for other namespaces, pays for none of the library's."""
    loaded = loaded_by("-c", f"{IMPORTED_BY_ITERATOR}; import {BY_TABLES}")
    assert BY_TABLES in loaded
    assert not (SLOW | TYPING | LIBRARY) & loaded


@pytest.mark.parametrize(
    ("heavy", "light"),
    [
        ("typing", {"model.light_typing", "model.light_library"}),
        ("collections.abc", set()),
        ("functools", {"model.light_library"}),
        ("collections", {"model.light_library"}),
        ("operator", {"model.light_library"}),
    ],
)
def test_agent_needs_the_light_ones(heavy: str, light: set[str]) -> None:
    """What an agent's call imports on other hosts takes the light ones, too."""
    packages = {"model", "readers", "collector", "grouping", "filters", "document"}
    own = {module: path for module, path in MODULES.items() if module.split(".")[0] in packages}
    users = {module for module, path in own.items() if heavy in set(imports(path))}
    assert users == light


@pytest.mark.parametrize("grouping", ["unit", "container", "user"])
def test_groupings_need_no_rules(grouping: str) -> None:
    """Rules are for the grouping by process: no other one reads the configuration file."""
    loaded = loaded_by("-c", CALL, "get", grouping, "--source", "procfs", *ALONE)
    assert "zabbix_sockets.collector.process_facts" in loaded
    assert not (RULES - {"zabbix_sockets.collector.process_facts"}) & loaded


def test_the_process_that_waits_is_small() -> None:
    """It imports next to nothing: what it has touched is copied, page by page, for its child."""
    answer = subprocess.run(
        [sys.executable, "-I", "-c", WAITING], capture_output=True, text=True, check=True
    )
    loaded = set(answer.stdout.split())
    assert not (TYPING | {"argparse", "json"}) & loaded
    assert {name for name in loaded if name.startswith("zabbix_sockets.")} == {
        *("zabbix_sockets.command", "zabbix_sockets.command.agent_call"),
        "zabbix_sockets.command.cli",
        *("zabbix_sockets.command.lock", "zabbix_sockets.command.supervisor"),
        *("zabbix_sockets.model", "zabbix_sockets.model.deadline", "zabbix_sockets.model.errors"),
    }
