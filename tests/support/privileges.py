"""The table of docs/privileges.md: what each privilege adds, found out by dropping them.

python tests/support/privileges.py    writes it anew (as root)
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(1, str(ROOT / "tests" / "support"))

# ruff: noqa: E402
import cgroups
import netns
import zoo
from children import Child, run_as
from json_documents import json_document

from zabbix_sockets import Query, collect
from zabbix_sockets.document.document import NO_LIMITS
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.paths import PINS_GROUP
from zabbix_sockets.readers.bpf.pins import load, unload

PAGE = ROOT / "docs" / "privileges.md"
BEGIN, END = "<!-- made by `make privileges` -->\n", "<!-- end -->\n"
NOBODY_UID = 65534
UNIT = "zsprivileges.service"
INHABITED, EMPTY = "zs-inhabited", "zs-empty"
PORTS = {"here": 7601, INHABITED: 7602, EMPTY: 7603}
WALK = ("CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")


class Way(NamedTuple):
    """A set of privileges, and whether the pinned iterators are there."""

    title: str
    capabilities: tuple[str, ...] = ()
    pinned: bool = False
    source: str | None = None


WAYS = (
    Way("none"),
    Way("`CAP_SYS_PTRACE`", WALK[:1]),
    Way("`CAP_DAC_READ_SEARCH`", WALK[1:]),
    Way("both of them", WALK),
    Way("these and `CAP_SYS_ADMIN`, kept from BPF", (*WALK, "CAP_SYS_ADMIN"), source="sock_diag"),
    Way("`CAP_BPF` and `CAP_PERFMON`", ("CAP_BPF", "CAP_PERFMON")),
    Way("group zabbix, iterators loaded", pinned=True),
)
COLUMNS = (
    "privilege",
    "source",
    "sockets",
    "owners",
    "units",
    "sockets in other namespaces",
    "their owners",
    "their backlogs",
    "sockets in namespaces without a process",
)


@contextmanager
def scene() -> Iterator[str]:
    """Have a listener here, of root and in a unit, one in each of two namespaces; give the pins."""
    root = cgroups.find_root()
    assert root, "no cgroup v2 here"
    with ExitStack() as stack:
        stack.enter_context(cgroups.made(root / UNIT))
        stack.enter_context(netns.named(INHABITED, EMPTY))
        listen = partial(zoo.listener, "127.0.0.1", PORTS["here"])
        stack.enter_context(Child(partial(cgroups.inside, root / UNIT, listen)))
        stack.enter_context(Child(partial(_elsewhere, INHABITED)))
        stack.enter_context(Child(partial(_from_outside, EMPTY)))
        pins = tempfile.mkdtemp(prefix="zabbix-sockets-pins-")
        os.chmod(pins, 0o755)
        stack.callback(os.rmdir, pins)
        load(pins)
        stack.callback(unload, pins)
        yield pins


def _elsewhere(name: str) -> object:
    netns.enter(netns.path_of(name))
    return zoo.listener("127.0.0.1", PORTS[name])


def _from_outside(name: str) -> object:
    with netns.inside(name):
        return zoo.listener("127.0.0.1", PORTS[name])


def table() -> str:
    """Return the table, in Markdown; needs root and a network namespace of the caller's own."""
    lines = [COLUMNS, ("---",) * len(COLUMNS)]
    with scene() as pins:
        for source in ("sock_diag", "bpf"):
            _answers(pins, source)  # imports what the other processes need
        group = _group()
        for way in WAYS:
            work = partial(_answers, pins if way.pinned else "/nowhere", way.source)
            gid = group if way.pinned else NOBODY_UID
            answers = run_as(NOBODY_UID, work, gid, way.capabilities)
            assert isinstance(answers, list)
            lines.append((way.title, *answers))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _group() -> int:
    import grp  # noqa: PLC0415

    return grp.getgrnam(PINS_GROUP).gr_gid


def _answers(pins: str, source: str | None) -> list[str]:
    """Return the cells of a way but for its title, as this process finds them."""
    query = Query(source, timeout=30, pins=pins)
    document = json_document(collect(query), NO_LIMITS)
    rows = _by_port(document["listeners"])
    by_unit = query._replace(needs=GROUPINGS["unit"].needs)
    units = json_document(collect(by_unit), NO_LIMITS, GROUPINGS["unit"])
    unit = _by_port(units["listeners"])[PORTS["here"]]["process"] == UNIT
    how = units["collector"]
    assert isinstance(how, dict)
    own, other, empty = (rows.get(port, {}) for port in PORTS.values())
    collector = document["collector"]
    assert isinstance(collector, dict)
    return [
        f"`{collector['source']}`",
        _yes(own),
        _yes(own.get("process")),
        _yes(unit) + (", by the maker's cgroup" if how["ownership"] == "cgroups" else ""),
        _yes(other) + (", named" if str(other.get("netns", "")) == INHABITED else ""),
        _yes(other.get("process")),
        _yes("backlog" in other),
        _yes(empty),
    ]


def _yes(value: object) -> str:
    return "yes" if value else "-"


def _by_port(rows: object) -> dict[int, dict[str, object]]:
    assert isinstance(rows, list)
    return {row["port"]: row for row in rows if "port" in row}


def written() -> str:
    """Return the page as it should be."""
    head, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    with netns.own_namespace():
        PAGE.write_text(written(), "utf-8")
