"""The question for what the server has of this host; pyzabbix, which it takes, may be missing."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

from zabbix_sockets.check.line import Line, unknown, visible
from zabbix_sockets.check.question import API, Question
from zabbix_sockets.check.report import Job
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.provision import credentials
from zabbix_sockets.provision.failures import without_extra
from zabbix_sockets.provision.frontend import Frontend
from zabbix_sockets.provision.options import LoginOptions
from zabbix_sockets.sending.agent_config import find_agent_config, read_agent_config


def question_of(frontend: Frontend, host: str, login: LoginOptions, timeout: float) -> Question:
    """Return the question of the options; credentials that are missing are asked for.

    An empty *host* is the name of this host's agent.

    Raises:
        UsageError: options contradict each other.
        SocketsError: there are no credentials.
    """
    found = credentials.find(login, os.environ, _note)
    return Question(
        frontend, credentials.complete(found), host or _own_name(), timeout, login.ca_file
    )


def _note(text: str) -> None:
    sys.stderr.write(f"note: {visible(text)}\n")


def _own_name() -> str:
    """Return the name of this host in Zabbix: that of its agent, else the system's."""
    path = find_agent_config()
    try:
        name = read_agent_config(path).hostname if path else ""
    except UsageError:
        name = ""
    return name or socket.gethostname()


def server_job(question: Question) -> Job:
    """Return the check of what the server has."""

    def work() -> Iterator[Line]:
        try:
            from zabbix_sockets.check.template import check_template  # noqa: PLC0415  # needs pyzabbix
        except ImportError as error:
            said = without_extra(error)
            yield unknown(API, str(said), said.hint)
            return
        yield from check_template(question)

    return Job(API, work)
