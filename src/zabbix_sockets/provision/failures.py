"""Errors of the way to the API and of the API itself, each in one line with a hint.

Nothing that was sent is repeated, so no message can hold a password or token.
"""

import importlib.metadata
import socket
import ssl
import sys
from collections.abc import Iterator

from zabbix_sockets.host import own_files
from zabbix_sockets.model.errors import SocketsError

PY_ZABBIX = "py-zabbix"
"""A distribution, long abandoned, that installs a package `pyzabbix` of its own."""

_MAX_LENGTH = 400
_RIGHTS = (
    "the API user needs the role type Admin or Super admin, the methods that docs/provision.md"
    " lists, and read-write access to the host and template groups"
)
_WHERE = "is it the address of the frontend, such as https://zabbix.example.com/zabbix?"
_PROXY = (
    "https_proxy, http_proxy or all_proxy of the environment names it; no_proxy lists exceptions"
)
_TRUST = (
    "--ca-file FILE names the certificate of an own CA; the system's are often in"
    " /etc/ssl/certs/ca-certificates.crt"
)

# Words of the server that people have met, and what helped.
_HINTS = (
    ("incorrect user name or password", "a few wrong passwords block an account for a while"),
    ("login name or password", "a few wrong passwords block an account for a while"),
    ("already exists", "the API user may lack the right to see it"),
    ("no permissions", _RIGHTS),
    ("permission", _RIGHTS),
    ("only super admin", _RIGHTS),
    ("unsupported version number", "the templates are newer than the server understands"),
)
_NO_HEADER = (
    "is the token right, enabled and not expired? Some web servers keep the header Authorization"
    " from PHP: CGIPassAuth in Apache's documentation"
)


class RefusedError(SocketsError):
    """The server understood, and refused; the message is its own words."""


class UnreachableError(SocketsError):
    """There was no answer, or none of a Zabbix API."""


def without_extra(error: ImportError, extra: str = "provision") -> SocketsError:
    """Return the error for a failed import of what zabbix-sockets[*extra*] brings.

    *error* has the name of the missing module, or PY_ZABBIX where that has taken its place.
    """
    pip = f"{sys.executable} -m pip"
    install = _how_to_install(pip, extra)
    verb = "provision" if extra == "provision" else f"provision {extra}"
    try:
        importlib.metadata.distribution(PY_ZABBIX)
        module = PY_ZABBIX
    except importlib.metadata.PackageNotFoundError:
        module = (error.name or "pyzabbix").partition(".")[0]
    if module == PY_ZABBIX:
        return SocketsError(
            f"{verb} needs the pyzabbix of zabbix-sockets[{extra}];"
            f" {PY_ZABBIX} has put another, abandoned package of this name in its place",
            f"{pip} uninstall {PY_ZABBIX} pyzabbix, then {install}",
        )
    return SocketsError(f"{verb} needs {module}, which zabbix-sockets[{extra}] brings", install)


def _how_to_install(pip: str, extra: str) -> str:
    """Return the commands that bring zabbix-sockets[*extra*] to this installation.

    A package has a Python without pip and without its libraries, which an environment then has.
    """
    commands = f"{pip} install '.[{extra}]'"
    if own_files.is_packaged():
        commands = (
            f"python3 -m venv provision && provision/bin/pip install '.[{extra}]',"
            " then provision/bin/zabbix-sockets provision"
        )
    if extra != "provision":
        return f"in the folder of zabbix-sockets' source: {commands}"
    templates = f"{own_files.share_folder()}/zabbix_templates"
    return (
        f"in the folder of zabbix-sockets' source: {commands}; or import the YAML files in"
        f" {templates} by hand, in the frontend"
    )


def refused(words: str, secrets: tuple[str, ...]) -> RefusedError:
    """Return the error for a refusal in the server's words, in one line and without *secrets*.

    Its hint is the one for the first known phrase in them.
    """
    for secret in filter(None, secrets):
        words = words.replace(secret, "***")
    text = in_one_line(words) or "the server refused, without a word"
    lower = text.lower()
    return RefusedError(text, next((hint for word, hint in _HINTS if word in lower), ""))


def login_refused(error: RefusedError, *, with_token: bool) -> RefusedError:
    """Return the error for a login that the server refused with *error*."""
    return RefusedError(f"login: {error}", _NO_HEADER if with_token else error.hint)


def in_one_line(text: str) -> str:
    """Return *text* as one line of at most 400 printable characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 3]}..."


def no_api(url: str, what: str) -> UnreachableError:
    """Return the error for an answer that no Zabbix API gives; *what* says what it is."""
    return UnreachableError(f"{url}: {what}", _WHERE)


def redirected(url: str, target: str) -> UnreachableError:
    """Return the error for a redirect to *target*; to follow it would send the secret elsewhere."""
    return UnreachableError(f"{url}: redirects to {in_one_line(target)}", "give that address")


def timed_out(url: str, seconds: float) -> UnreachableError:
    """Return the error for a server that didn't answer within *seconds*."""
    return UnreachableError(
        f"{url}: no answer within {seconds:g} s",
        "--timeout SECONDS waits longer. The server may go on with what it was asked last: a new"
        " call does what is left",
    )


def unreachable(url: str, error: BaseException, seconds: float) -> UnreachableError:
    """Return the error for an exception of the HTTP client, whose timeout is *seconds*."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UnreachableError(f"{url}: its certificate: {cause.verify_message}", _TRUST)
        if isinstance(cause, ssl.SSLError):
            what = (cause.reason or "failed").replace("_", " ").lower()
            return UnreachableError(f"{url}: TLS: {what}", "does this port speak https?")
        if isinstance(cause, socket.gaierror):
            return UnreachableError(f"{url}: {cause.strerror}", _WHERE)
    if any("Timeout" in type(cause).__name__ for cause in causes):
        return timed_out(url, seconds)
    return UnreachableError(f"{url}: {in_one_line(_innermost(causes))}", _WHERE)


def by_proxy(error: UnreachableError) -> UnreachableError:
    """Return the error for *error* on a connection through a proxy that the environment names."""
    return UnreachableError(f"{error} (by way of a proxy)", _PROXY)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and all exceptions that it wraps, outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            inner = (
                *cause.args,
                getattr(cause, "reason", None),
                cause.__cause__,
                cause.__context__,
            )
            waiting += [each for each in inner if isinstance(each, BaseException)]


def _innermost(causes: list[BaseException]) -> str:
    """Return the system's message for the cause of a failure, else the name of its class.

    Other messages may repeat what was sent.
    """
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return cause.strerror
    for cause in causes:
        if type(cause) is OSError and len(cause.args) == 1:  # of a proxy, of a file of CAs
            return str(cause)
    names = [type(cause).__name__ for cause in causes]
    if "RemoteDisconnected" in names or "ProtocolError" in names:
        return "the server closed the connection"
    return f"failed ({names[-1]})"
