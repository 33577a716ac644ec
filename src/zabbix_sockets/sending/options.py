"""Options of `send`. Those that zabbix_sender has too have its names, and are given to it."""

import argparse
import os

_TLS = {
    "connect": "unencrypted, psk or cert",
    "ca-file": "certificates of the CAs that may have signed the server's",
    "crl-file": "revoked certificates",
    "server-cert-issuer": "allowed issuer of the server's certificate",
    "server-cert-subject": "allowed subject of the server's certificate",
    "cert-file": "the host's certificate",
    "key-file": "the host's private key",
    "psk-identity": "identity of the pre-shared key",
    "psk-file": "file with the pre-shared key",
    "cipher13": "cipher suites for TLS 1.3",
    "cipher": "cipher suites for TLS 1.2",
}

CONNECT = "--tls-connect"
"""The option that says whether connections are encrypted, and how."""
FILES = tuple(f"--tls-{name}" for name in _TLS if name.endswith("-file"))
"""The options of zabbix_sender whose value is the path of a file."""

_MEGABYTE = 1_000_000
_MAX_DIGITS = 12  # of a whole number: zeros in front of one are no reason to read half of it


class _SenderOption(argparse.Action):
    """Collects options for zabbix_sender, with their values; *const* is its name for the option."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Append the option and its value to `sender_options`, a file with its absolute path.

        zabbix_sender runs in the folder of the agent's file.
        """
        del parser
        value = os.path.abspath(str(values)) if option_string in FILES else str(values)
        namespace.sender_options = [*namespace.sender_options, self.const or option_string, value]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `send` to its parser, besides those of every document."""
    parser.set_defaults(sender_options=[])
    _add_to(parser)
    _add_how(parser)


def _add_to(parser: argparse.ArgumentParser) -> None:
    to = parser.add_argument_group("where to, and as whom (default: as the agent)")
    to.add_argument(
        "--agent-config",
        metavar="FILE",
        help="the agent's configuration: ServerActive, Hostname, SourceIP and TLS settings"
        " (default: that of the agent which runs or is installed, below /etc/zabbix)",
    )
    to.add_argument(
        "--server",
        action="append",
        metavar="HOST[:PORT]",
        help="server or proxy (repeatable; nodes of a cluster: a;b)",
    )
    to.add_argument("--port", type=_port, metavar="N", help="its port, where none is given")
    to.add_argument("--host", metavar="NAME", help="the host's name in Zabbix")
    to.add_argument(
        "--source-address",
        dest="sender_options",
        action=_SenderOption,
        const="-I",
        metavar="ADDRESS",
        help="the address that connections come from (SourceIP)",
    )
    for name, meaning in _TLS.items():
        to.add_argument(
            f"--tls-{name}", dest="sender_options", action=_SenderOption, metavar="X", help=meaning
        )


def _add_how(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how")
    how.add_argument(
        "--values",
        nargs="*",
        metavar="KEY",
        help="push discovery and a value for each figure of each row instead, to items of your"
        " own with the templates' keys; KEY: of these only, such as 'sockets.process.tcp.*'",
    )
    how.add_argument(
        "--interval", type=_interval, metavar="SECONDS", help="stay, and push at this interval"
    )
    how.add_argument(
        "--send-timeout",
        type=_send_timeout,
        default=10,
        metavar="SECONDS",
        help="the time for each call of zabbix_sender (default: 10)",
    )
    how.add_argument(
        "--spool",
        metavar="FILE",
        help="file in which documents wait that could not be delivered"
        " (default: spool.sqlite, with --values values.sqlite, in $STATE_DIRECTORY or"
        " /var/lib/zabbix-sockets)",
    )
    how.add_argument(
        "--spool-size",
        type=_megabytes,
        dest="spool_bytes",
        default=64 * _MEGABYTE,
        metavar="MB",
        help="bound of the spool for each server, after which the oldest go (default: 64)",
    )


def _number(text: str, least: int, most: int, what: str) -> int:
    digits = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    if not (digits and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"not {what} from {least} to {most}")
    return int(text)


def _port(text: str) -> int:
    return _number(text, 1, 65535, "a port")


def _interval(text: str) -> int:
    return _number(text, 1, 86400, "a number of seconds")


def _send_timeout(text: str) -> int:
    return _number(text, 1, 300, "a number of seconds")


def _megabytes(text: str) -> int:
    return _number(text, 1, 100_000, "a number of megabytes") * _MEGABYTE
