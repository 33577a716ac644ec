"""The verb check: says, line by line, what works on this host and what to do about what doesn't."""

import os
import sys
from typing import Annotated, NamedTuple

from zabbix_sockets.check.line import BROKEN, DEGRADED, OK, UNKNOWN, Line, worst
from zabbix_sockets.check.report import SECONDS, Job, check_host, render, to_json
from zabbix_sockets.check.system import System
from zabbix_sockets.command.call import Call
from zabbix_sockets.command.options import PINS_FOLDER
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.option import Option, Section, seconds
from zabbix_sockets.model.paths import PINS
from zabbix_sockets.provision.frontend import Frontend, parse_frontend
from zabbix_sockets.provision.options import LOGIN, LoginOptions, parse_host
from zabbix_sockets.terminal.layout import style_of

_API_SECONDS = 10.0
_NO_FRONTEND = Frontend("", exposed=False)

STATUSES = {OK: 0, UNKNOWN: 0, DEGRADED: 1, BROKEN: 2}
"""The exit status by the worst state of all lines. Where there are no lines, as arguments are wrong
or the check itself failed, it is another one: command.cli.NOT_CHECKED."""


class ServerOptions(NamedTuple):
    """Where to ask what the server has of this host."""

    api: Annotated[
        Frontend,
        Option(
            "--api",
            "ask this Zabbix frontend too: is the host linked, to this version's template, and"
            f" has its master item an error; that may take {_API_SECONDS:g} s",
            "URL",
            parse_frontend,
        ),
    ] = _NO_FRONTEND
    host: Annotated[
        str,
        Option(
            "--host",
            "the host's technical name there (default: the Hostname of its agent)",
            "NAME",
            parse_host,
        ),
    ] = ""


class CheckOptions(NamedTuple):
    """The options of `check`."""

    pins: Annotated[str, PINS_FOLDER] = PINS
    json: Annotated[
        bool,
        Option(
            "--json",
            "print an array of objects with name, state, message and next",
            action="store_true",
        ),
    ] = False
    timeout: Annotated[
        float,
        Option(
            "--timeout",
            f"look for this long (default: {SECONDS:g}, with --api {_API_SECONDS:g})",
            "SECONDS",
            seconds,
        ),
    ] = SECONDS
    server: Annotated[ServerOptions, Section("server")] = ServerOptions()
    login: Annotated[LoginOptions, LOGIN] = LoginOptions()


def check(options: CheckOptions, _call: Call) -> int:
    """Print what works on this host and what doesn't; return the exit status (STATUSES).

    Raises:
        UsageError: options contradict each other.
        SocketsError: there are no credentials for the API.
    """
    return STATUSES[worst(print_lines(options))]


def print_lines(options: CheckOptions) -> list[Line]:
    """Print what works on this host and what doesn't; return these lines.

    Raises:
        UsageError: options contradict each other.
        SocketsError: there are no credentials for the API.
    """
    more = _of_server(options)
    limit = Deadline(max(options.timeout, _API_SECONDS) if more else options.timeout)
    system = System("", "/proc", limit, options.pins, os.geteuid())
    lines = check_host(system, more)
    sys.stdout.write(to_json(lines) if options.json else render(lines, style_of(sys.stdout)))
    return lines


def _of_server(options: CheckOptions) -> list[Job]:
    """Return the check by the API, if that is asked for; its credentials are asked for now.

    Raises:
        UsageError: other options are only for it.
    """
    if options.server.api is _NO_FRONTEND:
        if options.server.host or any(options.login):
            raise UsageError("--host and the options of the login are for --api")
        return []
    from zabbix_sockets.check.server import question_of, server_job  # noqa: PLC0415  # for --api alone

    host = options.server.host
    return [server_job(question_of(options.server.api, host, options.login, _API_SECONDS))]
