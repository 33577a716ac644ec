"""The command's arguments: verbs and options, and what is wrong with them."""

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from zabbix_sockets.command import admin, answers
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.snapshot import ACTIVE_WITHIN, LISTS, PINS, PINS_GROUP
from zabbix_sockets.version import __version__

PROGRAM = "zabbix-sockets"
SOURCES = ("bpf", "sock_diag", "procfs")
_MAX_SECONDS = 3600
_MAX_DIGITS = 18  # of a whole number: more than any that is meant, and below 2^63


class Verb(NamedTuple):
    """A verb: what it does in a line, its function, and what adds its arguments."""

    summary: str
    run: Callable[[argparse.Namespace], None]
    add_arguments: Callable[[argparse.ArgumentParser], None]


class _Help(argparse.HelpFormatter):
    """A formatter that knows its width: to find it, the base class imports shutil, 3 ms."""

    def __init__(self, prog: str) -> None:
        try:
            width = os.get_terminal_size(1).columns - 2
        except OSError:
            width = 78
        super().__init__(prog, width=width)


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog, description=description, formatter_class=_Help, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"try: {self.prog} --help")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `run` among them is the verb's function.

    `question` is what calls tell by that they ask the same (empty: nobody does), `lock` an open
    Lock (None: the verb opens it), `started` since when the caller waits (None: now).
    Only the parser of the verb in question is made.

    Raises:
        UsageError: they are wrong.
    """
    if arguments and arguments[0] in VERBS:
        verb = VERBS[arguments[0]]
        parser = _Parser(
            f"{PROGRAM} {arguments[0]}", f"{verb.summary[0].upper()}{verb.summary[1:]}."
        )
        verb.add_arguments(parser)
        parser.add_argument(
            "--debug", action="store_true", help="show where an error comes from, on stderr"
        )
        parser.set_defaults(run=verb.run, question=(), lock=None, started=None)
        return parser.parse_args(arguments[1:])
    if arguments and not arguments[0].startswith("-"):
        raise UsageError(_unknown(arguments[0]), f"try: {PROGRAM} --help")
    overview = _overview()
    if not arguments:
        raise UsageError("no verb", overview.format_help().rstrip())
    return overview.parse_args(arguments)


def _unknown(verb: str) -> str:
    """Return what is wrong with a verb that there isn't, and which ones are like it."""
    from difflib import get_close_matches  # noqa: PLC0415  # for people's slips

    like = get_close_matches(verb, VERBS)
    return f"no verb {verb!r}: " + (
        f"did you mean {' or '.join(like)}?" if like else f"it is one of {', '.join(VERBS)}"
    )


def _overview() -> argparse.ArgumentParser:
    """Return the parser for calls without a known verb: help, version or an error."""
    parser = _Parser(PROGRAM, "Tell which process holds which TCP and UDP sockets.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("verb", metavar="VERB", choices=tuple(VERBS), help="one of these:")
    summaries = "\n".join(f"  {name:10}{verb.summary}" for name, verb in VERBS.items())
    parser.epilog = f"verbs:\n{summaries}\n\n{PROGRAM} VERB --help tells more of each."
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        choices=SOURCES,
        help="read from this source only (default: the best that works here)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=2.5,
        metavar="SECONDS",
        help="answer within this time, incomplete if need be (default: 2.5)",
    )
    parser.add_argument(
        "--netns",
        type=_name,
        metavar="NAME",
        help="network namespaces: all, own, or one by its name or number"
        " (default: all; for show sockets own)",
    )
    parser.add_argument(
        "--filter",
        metavar="EXPRESSION",
        help="only the sockets that fit, such as 'dport = :443 and state established':"
        " the language of ss(8), see docs/filters.md",
    )
    parser.add_argument(
        "--group-by",
        choices=tuple(GROUPINGS),
        default=DEFAULT_GROUPING,
        help=f"processes with the same one of these are one row (default: {DEFAULT_GROUPING})",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"file with rules that name processes (default: {answers.CONFIG}, if it is there)",
    )
    _add_pins(parser)
    parser.set_defaults(tcp_info=False, active_within=ACTIVE_WITHIN[2])


def _add_active_within(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--active-within",
        type=int,
        choices=ACTIVE_WITHIN,
        default=ACTIVE_WITHIN[2],
        metavar="SECONDS",
        help="round-trip times and retransmissions are those of connections that sent or"
        " received data in the last so many seconds:"
        f" {', '.join(map(str, ACTIVE_WITHIN))} (default: {ACTIVE_WITHIN[2]})",
    )


def _add_quality(parser: argparse.ArgumentParser) -> None:
    _add_active_within(parser)
    parser.add_argument(
        "--no-tcp-info",
        dest="tcp_info",
        action="store_false",
        default=True,
        help="leave out round-trip times and retransmissions: less work with sock_diag",
    )


def _add_document(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.add_argument(
        "--max-bytes",
        type=_positive,
        default=500_000,
        metavar="N",
        help="the greatest length of the document, in bytes (default: 500000)",
    )


def _add_get(parser: argparse.ArgumentParser) -> None:
    _add_document(parser)
    _add_quality(parser)
    parser.add_argument("grouping", nargs="?", default="", metavar="GROUPING", help="as --group-by")


def _add_discover(parser: argparse.ArgumentParser) -> None:
    _add_document(parser)
    parser.add_argument("kind", choices=LISTS, metavar="KIND", help=", ".join(LISTS))


def _add_count(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    parser.add_argument(
        "process",
        metavar="PROCESS",
        help="a name as the document shows it, or as show processes --keys spells it",
    )
    parser.add_argument("protocol", nargs="?", default="", metavar="PROTOCOL", help="tcp or udp")
    parser.add_argument("state", nargs="?", default="", metavar="STATE", help="such as listen")


def _add_show(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    kinds = (*LISTS, "sockets")
    parser.add_argument("kind", choices=kinds, metavar="KIND", help=", ".join(kinds))
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--json", action="store_true", help="print JSON instead of a table")
    instead.add_argument(
        "--keys",
        action="store_true",
        help="show processes: print an item key of each, as every agent takes it",
    )
    _add_active_within(parser)
    parser.add_argument(
        "--tcp-info",
        action=argparse.BooleanOptionalAction,
        default=None,  # by what is shown
        help="round-trip times and retransmissions of TCP connections (default: yes, but for"
        " sockets)",
    )
    parser.add_argument(
        "--interval",
        type=_seconds,
        metavar="SECONDS",
        help="show sockets: print them at this interval, with rates and those new or gone",
    )
    parser.add_argument(
        "--count", type=_positive, metavar="N", help="with --interval: end after so many times"
    )
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="STATE",
        help="sockets in this state (repeatable; all: every one)",
    )
    parser.set_defaults(told=False)  # why not all owners are seen: once


def _add_pins(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pins",
        default=PINS,
        metavar="FOLDER",
        help=f"the bpffs with the BPF iterators (default: {PINS})",
    )


def _add_load(parser: argparse.ArgumentParser) -> None:
    _add_pins(parser)
    parser.add_argument(
        "--group",
        type=_name,
        default=PINS_GROUP,
        metavar="NAME",
        help=f"who may read them: the group of the agent's user (default: {PINS_GROUP})",
    )


def _add_provision(parser: argparse.ArgumentParser) -> None:
    from zabbix_sockets.provision.options import add_arguments  # noqa: PLC0415  # no agent's

    add_arguments(parser)
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="wait this long for each of the server's answers (default: 60)",
    )


def _add_nothing(_parser: argparse.ArgumentParser) -> None:
    """The verb has no arguments."""


def _add_send(parser: argparse.ArgumentParser) -> None:
    from zabbix_sockets.sending.options import add_options  # noqa: PLC0415  # no agent's

    _add_document(parser)
    _add_quality(parser)
    add_options(parser)


VERBS = {
    "get": Verb("print the document, one line of JSON", answers.get, _add_get),
    "discover": Verb("print low-level discovery JSON", answers.discover, _add_discover),
    "count": Verb("print how many sockets a process holds", answers.count, _add_count),
    "send": Verb("push the document with zabbix_sender", answers.send, _add_send),
    "show": Verb("print a table for people", answers.show, _add_show),
    "load": Verb("pin the BPF iterators, for the agent to read", admin.load, _add_load),
    "unload": Verb("remove the pinned BPF iterators", admin.unload, _add_pins),
    "files": Verb(
        "print the folder that holds conf/ and zabbix_templates/", admin.files, _add_nothing
    ),
    "provision": Verb(
        "import the templates into a Zabbix server, link hosts", admin.provision, _add_provision
    ),
}


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to {_MAX_SECONDS}")
    return value


def _name(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("no name")
    return text


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and text.strip("0")):
        raise argparse.ArgumentTypeError("not a whole number above 0")
    if len(text) > _MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"a number of more than {_MAX_DIGITS} digits")
    return int(text)
