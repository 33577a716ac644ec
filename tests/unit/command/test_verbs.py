"""Calls without an option are read as argparse would read them, and no others are."""

import itertools

import pytest

from zabbix_sockets.command import arguments
from zabbix_sockets.command.verbs import parse_plain
from zabbix_sockets.model.errors import UsageError

WORDS = ["", "a b", "--", "-x", "--timeout", "processes", "unit", "tcp"]
CALLS = [
    [verb, *words]
    for verb in ("get", "discover", "count", "show", "files", "", "--version")
    for length in range(5)
    for words in itertools.product(WORDS, repeat=length)
]


def test_as_argparse() -> None:
    """Whatever is taken for a plain call has the same options by argparse."""
    taken = 0
    for call in CALLS:
        plain = parse_plain(call)
        if plain is None:
            continue
        taken += 1
        assert plain == arguments.parse(call), call
    assert taken > 100


@pytest.mark.parametrize(
    "call",
    [
        ["get"],
        ["get", "--", ""],
        ["get", "--", "unit"],
        ["get", "user"],
        ["get", "--", "process", "own"],
        ["get", "--", "", ""],
        ["discover", "--", "listeners"],
        ["count", "--", "-x"],
        ["count", "--", "nginx", "tcp", "listen"],
        ["count", "nginx", "", ""],
    ],
    ids=str,
)
def test_what_agents_ask(call: list[str]) -> None:
    """The calls of the UserParameters are plain ones."""
    assert parse_plain(call)


@pytest.mark.parametrize(
    "call",
    [
        [],
        ["count", "--"],
        ["discover", "--", "x"],
        ["get", "--", "a", "b", "c"],
        ["count", *"abcd"],
    ],
    ids=str,
)
def test_errors_are_argparse_s(call: list[str]) -> None:
    """What is wrong is said in one place."""
    assert parse_plain(call) is None
    with pytest.raises(UsageError):
        arguments.parse(call)
