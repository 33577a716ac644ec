"""The command's arguments: verbs and options, and what is wrong with them."""

import argparse
from typing import NoReturn

from zabbix_sockets import __version__, verbs
from zabbix_sockets.errors import UsageError

AGENT_VERBS = ("get", "discover", "count")
LISTS = ("processes", "listeners", "upstreams")
_MAX_SECONDS = 3600
SOURCES = ("sock_diag", "procfs")


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of printing."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"try: {self.prog} --help")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options; `run` among them is the verb's function.

    Raises:
        UsageError: they are wrong.
    """
    return _parser().parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="zabbix-sockets",
        description="Tell which process holds which TCP and UDP sockets.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"zabbix-sockets {__version__}")
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    common = _common()
    get = subparsers.add_parser(
        "get", parents=[common], help="print the document, one line of JSON", allow_abbrev=False
    )
    get.add_argument("grouping", nargs="?", default="", metavar="GROUPING", help="process")
    get.set_defaults(run=verbs.get)
    discover = subparsers.add_parser(
        "discover", parents=[common], help="print low-level discovery JSON", allow_abbrev=False
    )
    discover.add_argument("kind", choices=LISTS, metavar="KIND", help=", ".join(LISTS))
    discover.set_defaults(run=verbs.discover)
    number = subparsers.add_parser(
        "count", parents=[common], help="print how many sockets a process holds", allow_abbrev=False
    )
    number.add_argument("process", metavar="PROCESS")
    number.add_argument("protocol", nargs="?", default="", metavar="PROTOCOL", help="tcp or udp")
    number.add_argument("state", nargs="?", default="", metavar="STATE", help="such as listen")
    number.set_defaults(run=verbs.count)
    _add_show(subparsers, common)
    files = subparsers.add_parser("files", help="print the folder with conf/ and zabbix_templates/")
    files.set_defaults(run=verbs.files)
    return parser


def _common() -> "_Parser":
    common = _Parser(add_help=False)
    common.add_argument(
        "--source",
        choices=SOURCES,
        help="read from this source only (default: the best that works here)",
    )
    common.add_argument(
        "--timeout",
        type=_seconds,
        default=2.5,
        metavar="SECONDS",
        help="answer within this time, incomplete if need be (default: 2.5)",
    )
    common.add_argument(
        "--max-bytes",
        type=_positive,
        default=500_000,
        metavar="N",
        help="the document's greatest length (default: 500000)",
    )
    return common


def _add_show(
    subparsers: "argparse._SubParsersAction[_Parser]", common: "_Parser"
) -> None:
    show = subparsers.add_parser(
        "show", parents=[common], help="print a table for people", allow_abbrev=False
    )
    show.add_argument("kind", choices=(*LISTS, "sockets"), metavar="KIND", help="or: sockets")
    show.add_argument("--json", action="store_true", help="print JSON instead")
    show.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="STATE",
        help="sockets in this state (repeatable; all: every one)",
    )
    show.set_defaults(run=verbs.show)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to {_MAX_SECONDS}")
    return value


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text[:20])):
        raise argparse.ArgumentTypeError("not a whole number above 0")
    return int(text[:20])
