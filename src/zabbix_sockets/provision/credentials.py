"""Credentials for the API: a token, or a user and password; never from the command line.

From a file that an option names, else from the environment, else asked at the terminal.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zabbix_sockets.model.errors import SocketsError, UsageError, printable
from zabbix_sockets.provision.macros import is_utf8
from zabbix_sockets.provision.options import LoginOptions

TOKEN, USER, PASSWORD = "ZABBIX_TOKEN", "ZABBIX_USER", "ZABBIX_PASSWORD"
"""Variables of the environment that hold them."""
_MAX_BYTES = 4096
_WAYS = (
    f"give --token-file FILE, or --user NAME and --password-file FILE, or set {TOKEN}, or {USER}"
    f" and {PASSWORD}; at a terminal you are asked"
)


@dataclass(frozen=True, repr=False)
class Token:
    """An API token."""

    token: str


@dataclass(frozen=True, repr=False)
class Login:
    """A user and the password."""

    user: str
    password: str


@dataclass(frozen=True, repr=False)
class Incomplete:
    """A user or a password, of which at least one has to be asked for; that is None."""

    user: str | None
    password: str | None


def find(
    login: LoginOptions, environment: Mapping[str, str], note: Callable[[str], None]
) -> Token | Login | Incomplete:
    """Return the credentials of options, files and the environment; options win.

    *note* is called with a text for the caller where a file of secrets is readable by everybody.

    Raises:
        UsageError: the options contradict each other.
        SocketsError: a file can't be used; neither message nor hint tells what is in it.
    """
    token_file, user, password_file, _ = login
    if token_file is not None:
        if user is not None or password_file is not None:
            raise UsageError("--token-file is for an API token: not with --user, --password-file")
        return Token(_checked_token(read_secret(token_file, note), token_file))
    if user is None and password_file is None and environment.get(TOKEN):
        return Token(_checked_token(environment[TOKEN].strip(), TOKEN))
    user = user if user is not None else environment.get(USER) or None
    password = environment.get(PASSWORD) or None
    if password_file is not None:
        password = read_secret(password_file, note)
    for source, text in ((USER, user), (PASSWORD, password)):
        if text and not is_utf8(text):
            raise SocketsError(f"{source}: not UTF-8")
    if user is None or password is None:
        return Incomplete(user, password)
    return Login(user, password)


def complete(found: Token | Login | Incomplete) -> Token | Login:
    """Return *found* with the user and password that it lacks, which are asked for at the terminal.

    Raises:
        SocketsError: there is no terminal, or nothing was typed.
    """
    if not isinstance(found, Incomplete):
        return found
    user = found.user or _ask_user()
    return Login(user, found.password or _ask_password(user))


def read_secret(path: str, note: Callable[[str], None]) -> str:
    """Return the one line of a file; *note* is called with a text where everybody may read it.

    Raises:
        SocketsError: it can't be read, or holds no single line of text.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SocketsError(f"{path}: {error.strerror}") from None
    if stat.S_ISREG(status.st_mode) and status.st_mode & stat.S_IROTH:
        note(f"{path} is readable by every user of this machine: chmod 600 mends that")
    if len(raw) > _MAX_BYTES:
        raise SocketsError(f"{path}: longer than {_MAX_BYTES} bytes")
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise SocketsError(f"{path}: not UTF-8") from None
    if not text or not text.isprintable():
        raise SocketsError(f"{path}: {'more than one line of text' if text else 'empty'}")
    return text


def _checked_token(text: str, source: str) -> str:
    token = text.strip()
    if not (token.isascii() and token.isalnum()):  # it becomes part of an HTTP header
        raise SocketsError(f"{source}: not an API token: these consist of letters and digits")
    return token


def _ask_user() -> str:
    if not sys.stdin or not sys.stdin.isatty():
        raise SocketsError("nobody to log in as", _WAYS)
    sys.stderr.write("Zabbix user: ")
    sys.stderr.flush()
    user = sys.stdin.readline().strip()
    if not user:
        raise SocketsError("no user was given", _WAYS)
    return user


def _ask_password(user: str) -> str:
    shown = printable(user)
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)  # it would be shown as it is typed
        try:
            password = getpass.getpass(f"Password of {shown}: ")
        except (EOFError, getpass.GetPassWarning):
            raise SocketsError(f"no password for user {shown}", _WAYS) from None
    if not password:
        raise SocketsError("no password was given", _WAYS)
    return password
