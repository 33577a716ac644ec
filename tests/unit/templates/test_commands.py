"""What descriptions of alarms tell people to type can be typed."""

import re
import shlex
from collections.abc import Iterator

import pytest

from ..commands import PATIENT, run  # noqa: TID252  # a test folder is no package
from .exports import Change, Check, Export, export_of, finds, name_of

_COMMAND = re.compile(r"`zabbix-sockets ([^`]*)`")
_LABELS = {"{#PORT}": "443", "{#ADDRESS}": "192.0.2.5"}


def commands(export: Export) -> Iterator[str]:
    """Yield the arguments of every command in a trigger's description, for a row of the list."""
    for part in export.parts:
        for trigger in part.triggers:
            for found in _COMMAND.findall(trigger["description"]):
                for macro, value in _LABELS.items():
                    found = found.replace(macro, value)  # noqa: PLW2901
                yield found


def silent(export: Export) -> Iterator[str]:
    """Yield triggers whose descriptions don't say what to look at first and then, and how."""
    for part in export.parts:
        for trigger in part.triggers:
            description = trigger["description"]
            words = re.findall(r"\w+", description.casefold())
            if not {"look", "first", "then"} <= set(words) or not _COMMAND.search(description):
                yield f"{trigger['name']}: {description}"


COMMANDS = sorted(set(commands(export_of("sockets_by_zabbix_agent", "7.0"))))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_runs(command: str) -> None:
    """It is one of this version's, with a filter that it understands."""
    verb, *arguments = shlex.split(command)
    if verb == "check":  # which is of all of this machine
        arguments = ["--help"]
    answer = run(verb, *arguments, *(PATIENT if verb in ("show", "get") else ()))
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout


def test_there_are_commands() -> None:
    """The expression finds those with a filter, too."""
    assert sum("--filter" in command for command in COMMANDS) > 5
    assert not [command for command in COMMANDS if "{" in command]


CHECKS = (silent,)


@pytest.mark.parametrize("check", CHECKS)
def test_descriptions(export: Export, check: Check) -> None:
    """Each description says two things to look at, and the command that shows one."""
    assert not list(check(export))


ALARM = "triggers/Sockets: Ephemeral ports run low/description"
CHANGES: list[Change] = [
    (silent, ALARM, "Look first at it (`zabbix-sockets check`)."),
    (silent, ALARM, "Look first at it, then at that."),
]


@pytest.mark.parametrize("change", CHANGES, ids=name_of)
def test_changes_are_found(change: Change) -> None:
    """The check finds what is wrong."""
    assert finds(change)
