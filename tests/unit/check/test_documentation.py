"""docs/troubleshooting.md has a heading for each line of `check`, and each of its states."""

from __future__ import annotations

import re
from pathlib import Path

from zabbix_sockets.check import registry

from .test_faults import FAULTS

PAGE = (Path(__file__).parents[3] / "docs" / "troubleshooting.md").read_text("utf-8")
SECTION = re.compile(r"^### (.*?)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
STATE = re.compile(r"^- \*\*(\w+)\*\*:", re.MULTILINE)

SECTIONS = {name: set(STATE.findall(text)) for name, text in SECTION.findall(PAGE)}
ELSEWHERE = {*registry.API_NAMES, registry.AGENTS, registry.CHECK}
"""The names whose lines are made by tests/zabbix/test_check.py and test_report.py."""


def heading_of(name: str) -> str:
    """Return the heading for a line's name."""
    return re.sub(r"^(agentd|agent2) ", "agent ", name)


def test_headings() -> None:
    """Each name of a line is a heading, in the order of the lines, and no other is."""
    assert sorted(SECTIONS) == sorted(registry.names())


def test_states() -> None:
    """A section tells of the states that faults have, and of no other."""
    made: dict[str, set[str]] = {}
    for fault in FAULTS:
        made.setdefault(heading_of(fault.name), set()).add(fault.state)
    told = {name: states for name, states in SECTIONS.items() if name not in ELSEWHERE}
    assert told == made
