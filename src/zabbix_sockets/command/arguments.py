"""Parser of the command line, by argparse: from arguments to a Request, or an error for people."""

import argparse
import os
from collections.abc import Callable
from typing import Any, NoReturn

from zabbix_sockets.command.agent_call import FOR_AGENT
from zabbix_sockets.command.verbs import VERBS, Request, filled, option_fields_of, verb_of
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.option import Option
from zabbix_sockets.version import __version__

PROGRAM = "zabbix-sockets"

_Options = argparse._ActionsContainer  # noqa: SLF001  # a parser, or a group of options within one


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
        super().__init__(
            prog,
            description=description,
            formatter_class=_Help,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,  # each option describes its own
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"try: {self.prog} --help")


def parse(arguments: list[str]) -> Request:
    """Return the request that the arguments make; only the parser of its verb is built.

    Raises:
        UsageError: the arguments are wrong.
        SystemExit: they are --help or --version, which has been printed.
    """
    name = verb_of(arguments)
    if name in VERBS:
        verb = VERBS[name]
        parser = _Parser(f"{PROGRAM} {name}", f"{verb.summary[0].upper()}{verb.summary[1:]}.")
        options, run = verb.define()
        _add_fields(parser, options)
        parser.epilog = verb.statuses and f"exit status: {verb.statuses}."
        parser.add_argument(
            "--debug", action="store_true", help="show where an error comes from, on stderr"
        )
        # People may put arguments behind options, also those that need not be given.
        by_people = arguments[0] not in FOR_AGENT
        read = parser.parse_intermixed_args if by_people else parser.parse_args
        return Request(run, filled(options, vars(read(arguments[len(name.split()) :]))))
    if arguments and not arguments[0].startswith("-"):
        raise UsageError(_unknown(arguments[0]), f"try: {PROGRAM} --help")
    overview = _overview()
    if not arguments:
        raise UsageError("no verb", overview.format_help().rstrip())
    overview.parse_args(arguments)
    raise UsageError("no verb", f"try: {PROGRAM} --help")


def _unknown(verb: str) -> str:
    """Return the message for an unknown verb, with the verbs that are spelt like it."""
    from difflib import get_close_matches  # noqa: PLC0415  # takes 2 ms, for mistyped verbs alone

    like = get_close_matches(verb, VERBS)
    return f"no verb {verb!r}: " + (
        f"did you mean {' or '.join(like)}?" if like else f"it is one of {', '.join(VERBS)}"
    )


def _overview() -> argparse.ArgumentParser:
    """Return the parser for calls without a verb: --help, --version or an error."""
    parser = _Parser(PROGRAM, "Tell which process holds which TCP, UDP and unix sockets.")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("verb", metavar="VERB", choices=tuple(VERBS), help="one of these:")
    summaries = "\n".join(f"  {name:15}{verb.summary}" for name, verb in VERBS.items())
    parser.epilog = f"verbs:\n{summaries}\n\n{PROGRAM} VERB --help tells more of each."
    return parser


def _add_fields(parser: _Options, options: type) -> None:
    """Add an option for each field of *options*, a type of options (model.option)."""
    groups: dict[str, _Options] = {}
    for field in option_fields_of(options):
        if field.inner:
            to = parser.add_argument_group(*field.section) if field.section else parser
            _add_fields(to, field.inner)
        for option in field.options:
            to = parser
            if option.either:
                if option.either not in groups:
                    groups[option.either] = parser.add_mutually_exclusive_group()
                to = groups[option.either]
            _add(to, field.name, option, optional=field.name in options._field_defaults)  # type: ignore[attr-defined]


def _add(parser: _Options, name: str, option: Option, *, optional: bool) -> None:
    """Add the option, or positional argument, of the field *name*.

    *optional*: the field has a default.
    """
    how: dict[str, Any] = {"help": option.help}
    if option.action == "optional":
        how["action"] = argparse.BooleanOptionalAction
    elif option.action != "store":
        how["action"] = option.action
    if option.parse:
        how["type"] = _checked(option.parse)
    if option.metavar:
        how["metavar"] = option.metavar
    if option.nargs:
        how["nargs"] = option.nargs
    if option.choices:
        how["choices"] = option.choices
    if option.flag:
        parser.add_argument(option.flag, dest=name, **how)
    else:
        if optional:
            how["nargs"] = "?"
        parser.add_argument(name, **how)


def _checked(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Return *parse* for argparse, which drops the message of a ValueError."""
    if parse is int:
        return parse  # argparse says by itself what is no number

    def checked(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked
