"""Options of `send`. Those that zabbix_sender has too have its names, and are given to it."""

import os
from collections.abc import Callable
from typing import Annotated, NamedTuple, Optional

from zabbix_sockets.model.option import Option, Section, name, number

CONNECT = "--tls-connect"
"""The option that says whether connections are encrypted, and how."""

FILES = tuple(
    f"--tls-{name}" for name in ("ca-file", "crl-file", "cert-file", "key-file", "psk-file")
)
"""The options of zabbix_sender whose value is the path of a file."""

_MEGABYTE = 1_000_000

SenderOption = tuple[str, str]
"""The name of an option in zabbix_sender, and its value."""


def _of_sender(
    flag: str,
    meaning: str,
    metavar: str = "TEXT",
    called: str = "",
    words: tuple[str, ...] = (),
) -> Option:
    """Return an option for zabbix_sender, which has the same name there or is *called* so.

    A file has its absolute path: zabbix_sender runs in the folder of the agent's file.
    """

    def parse(text: str) -> SenderOption:
        return called or flag, os.path.abspath(text) if flag in FILES else text

    return Option(flag, meaning, metavar, parse, action="append", words=words)


def _within(least: int, most: int, what: str, unit: int = 1) -> Callable[[str], int]:
    """Return the function that parses a number from *least* to *most* and multiplies it by *unit*.

    It raises ValueError for other texts, with a message that calls the number *what*.
    """
    return lambda text: number(text, least, most, what) * unit


class Destination(NamedTuple):
    """The options for the destination and the host's name, by default those of the agent."""

    agent_config: Annotated[
        Optional[str],
        Option(
            "--agent-config",
            "the agent's configuration: ServerActive, Hostname, SourceIP and TLS settings"
            " (default: that of the agent which runs or is installed, below /etc/zabbix)",
            "FILE",
        ),
    ] = None
    server: Annotated[
        tuple[str, ...],
        Option(
            "--server",
            "server or proxy (repeatable; nodes of a cluster: a;b)",
            "HOST[:PORT]",
            name,
            action="append",
        ),
    ] = ()
    port: Annotated[
        Optional[int],
        Option("--port", "its port, where none is given", "N", _within(1, 65535, "a port")),
    ] = None
    host: Annotated[Optional[str], Option("--host", "the host's name in Zabbix", "NAME")] = None
    sender_options: Annotated[
        tuple[SenderOption, ...],
        _of_sender(
            "--source-address", "the address that connections come from (SourceIP)", "ADDRESS", "-I"
        ),
        _of_sender(
            CONNECT, "unencrypted, psk or cert", "HOW", words=("unencrypted", "psk", "cert")
        ),
        _of_sender(
            "--tls-ca-file", "certificates of the CAs that may have signed the server's", "FILE"
        ),
        _of_sender("--tls-crl-file", "revoked certificates", "FILE"),
        _of_sender("--tls-server-cert-issuer", "allowed issuer of the server's certificate"),
        _of_sender("--tls-server-cert-subject", "allowed subject of the server's certificate"),
        _of_sender("--tls-cert-file", "the host's certificate", "FILE"),
        _of_sender("--tls-key-file", "the host's private key", "FILE"),
        _of_sender("--tls-psk-identity", "identity of the pre-shared key"),
        _of_sender("--tls-psk-file", "file with the pre-shared key", "FILE"),
        _of_sender("--tls-cipher13", "cipher suites for TLS 1.3"),
        _of_sender("--tls-cipher", "cipher suites for TLS 1.2"),
    ] = ()


class Manner(NamedTuple):
    """The options for the content of pushes, their interval, and the spool."""

    values: Annotated[
        Optional[tuple[str, ...]],
        Option(
            "--values",
            "push discovery and a value for each figure of each row instead, to items of your"
            " own with the templates' keys; KEY: of these only, such as 'sockets.process.tcp.*'",
            "KEY",
            nargs="*",
        ),
    ] = None
    interval: Annotated[
        Optional[int],
        Option(
            "--interval",
            "stay, and push at this interval",
            "SECONDS",
            _within(1, 86400, "a number of seconds"),
        ),
    ] = None
    send_timeout: Annotated[
        int,
        Option(
            "--send-timeout",
            "the time for each call of zabbix_sender (default: 10)",
            "SECONDS",
            _within(1, 300, "a number of seconds"),
        ),
    ] = 10
    spool: Annotated[
        Optional[str],
        Option(
            "--spool",
            "file in which documents wait that could not be delivered"
            " (default: spool.sqlite, with --values values.sqlite, in $STATE_DIRECTORY or"
            " /var/lib/zabbix-sockets)",
            "FILE",
        ),
    ] = None
    spool_bytes: Annotated[
        int,
        Option(
            "--spool-size",
            "bound of the spool for each server, after which the oldest go (default: 64)",
            "MB",
            _within(1, 100_000, "a number of megabytes", _MEGABYTE),
        ),
    ] = 64 * _MEGABYTE


class Pushing(NamedTuple):
    """The options that `send` has besides those of every document."""

    to: Annotated[Destination, Section("where to, and as whom (default: as the agent)")] = (
        Destination()
    )
    how: Annotated[Manner, Section("how")] = Manner()
