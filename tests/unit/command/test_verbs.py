"""Plain calls are read as argparse would read them, and no others are."""

import itertools

import pytest

from zabbix_sockets.command import arguments
from zabbix_sockets.command.verbs import parse_plain
from zabbix_sockets.model.errors import UsageError

WORDS = ["", "a b", "--", "-x", "--timeout", "processes", "unit", "tcp"]
OPTIONS = [
    *("--", "7", "unit", "--timeout", "--timeout=7", "--timeout=", "--timeout=-7", "--group-by"),
    *("--filter= -", "--clients", "--no-clients", "--clients=7", "--no-tcp-info", "--debug"),
    *("--active-within", "3600", "listeners"),
]
CALLS = [
    [verb, *words]
    for verbs, among, most in (
        (("get", "discover", "count", "show", "files", "", "--version"), WORDS, 5),
        (("get", "discover", "count"), OPTIONS, 4),
    )
    for verb in verbs
    for length in range(most)
    for words in itertools.product(among, repeat=length)
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
    assert taken > 1000


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
        ["get", "--timeout", "7"],
        ["get", "--pins=/a", "--active-within", "3600", "--no-tcp-info", "--", "unit", "own"],
        ["get", "--clients", "--max-bytes", "7000", "--filter", "dport = :443"],
        ["get", "--source", "procfs", "--netns", "own", "user"],
        ["count", "--config", "", "--", "nginx"],
        ["discover", "--group-by=unit", "listeners"],
    ],
    ids=str,
)
def test_what_agents_ask(call: list[str]) -> None:
    """The calls of the UserParameters are plain ones, and so are they with options."""
    plain = parse_plain(call)
    assert plain
    assert plain == arguments.parse(call)


@pytest.mark.parametrize(
    "call",
    [
        [],
        ["count", "--"],
        ["discover", "--", "x"],
        ["get", "--", "a", "b", "c"],
        ["count", *"abcd"],
        ["get", "--timeout"],
        ["get", "--timeout", "-7"],
        ["get", "--timeout", "x"],
        ["get", "--time", "7"],
        ["get", "--active-within", "61"],
        ["get", "--source", "bpf2"],
        ["get", "--clients=yes"],
        ["get", "--pins="],
        ["count", "nginx", "--timeout", "7", "tcp"],
    ],
    ids=str,
)
def test_errors_are_argparse_s(call: list[str]) -> None:
    """What is wrong is said in one place."""
    assert parse_plain(call) is None
    with pytest.raises(UsageError):
        arguments.parse(call)
