"""Where a secret comes from, and that it goes nowhere else."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.provision import credentials
from zabbix_sockets.provision.credentials import Incomplete, Login, Token
from zabbix_sockets.provision.options import LoginOptions

SECRET = "s3cret"
TOKEN = "0123456789abcdef" * 4


class Case:
    """Files of secrets, and what is noted while they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def file(self, content: bytes | str, mode: int = 0o600) -> str:
        """Write a file of one secret."""
        path = self.folder / "secret"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return str(path)

    def find(
        self,
        environment: dict[str, str] | None = None,
        *,
        token_file: str | None = None,
        user: str | None = None,
        password_file: str | None = None,
    ) -> Token | Login | Incomplete:
        """Ask as the command does."""
        login = LoginOptions(token_file, user, password_file)
        return credentials.find(login, environment or {}, self.notes.append)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A folder for files."""
    return Case(tmp_path)


def test_token_file(case: Case) -> None:
    """A token is the file's one line; white space around it is no part of it."""
    for content in (TOKEN, f"{TOKEN}\n", f" {TOKEN} \r\n"):
        assert case.find(token_file=case.file(content)) == Token(TOKEN)
    assert not case.notes


def test_password_file(case: Case) -> None:
    """A password is the file's one line, with spaces if it has some."""
    for content in (" p ä", " p ä\n", " p ä\r\n"):
        assert case.find(user="Admin", password_file=case.file(content)) == Login("Admin", " p ä")


def test_environment(case: Case) -> None:
    """Without options the environment says who."""
    login = {"ZABBIX_USER": "Admin", "ZABBIX_PASSWORD": SECRET}
    assert case.find(login) == Login("Admin", SECRET)
    assert case.find(login | {"ZABBIX_TOKEN": f"{TOKEN}\n"}) == Token(TOKEN)
    assert case.find(login | {"ZABBIX_TOKEN": ""}) == Login("Admin", SECRET)


def test_options_win(case: Case) -> None:
    """An option is more than the environment, also for the choice of token or password."""
    environment = {"ZABBIX_TOKEN": TOKEN, "ZABBIX_USER": "Admin", "ZABBIX_PASSWORD": "other"}
    assert case.find(environment, token_file=case.file("abc")) == Token("abc")
    assert case.find(environment, password_file=case.file(SECRET)) == Login("Admin", SECRET)
    assert case.find(environment, user="me") == Login("me", "other")


def test_what_must_be_asked(case: Case) -> None:
    """What nobody said is asked for; an empty variable says nothing."""
    assert case.find() == Incomplete(None, None)
    assert case.find({"ZABBIX_USER": "", "ZABBIX_PASSWORD": ""}) == Incomplete(None, None)
    assert case.find({"ZABBIX_USER": "Admin"}) == Incomplete("Admin", None)
    assert case.find(password_file=case.file(SECRET)) == Incomplete(None, SECRET)


def test_contradiction(case: Case) -> None:
    """A token belongs to a user already."""
    path = case.file(TOKEN)
    for user, password_file in (("Admin", None), (None, path)):
        with pytest.raises(UsageError, match="--token-file"):
            case.find(token_file=path, user=user, password_file=password_file)


@pytest.mark.parametrize(("mode", "noted"), [(0o600, 0), (0o640, 0), (0o604, 1), (0o644, 1)])
def test_readable_by_everybody(case: Case, mode: int, noted: int) -> None:
    """A note says when every user of the machine can read the file."""
    path = case.file(SECRET, mode)
    assert case.find(user="Admin", password_file=path) == Login("Admin", SECRET)
    assert len(case.notes) == noted
    assert all(path in note and SECRET not in note for note in case.notes)


def test_a_pipe(case: Case) -> None:
    """What a shell's <(command) or /dev/stdin gives may be read once, and has no such note."""
    read, write = os.pipe()
    os.write(write, f"{SECRET}\n".encode())
    os.close(write)
    try:
        found = case.find(user="Admin", password_file=f"/dev/fd/{read}")
    finally:
        os.close(read)
    assert found == Login("Admin", SECRET)
    assert not case.notes


@pytest.mark.parametrize(
    ("content", "why"),
    ids=range(6),
    argvalues=[
        (b"", "empty"),
        (b"\n", "empty"),
        (f"{SECRET}\nmore\n".encode(), "more than one line"),
        (f"{SECRET}\0".encode(), "more than one line"),
        (SECRET.encode() + b"\xff", "not UTF-8"),
        (SECRET.encode() * 1000, "longer than 4096 bytes"),
    ],
)
def test_no_secret(case: Case, content: bytes, why: str) -> None:
    """A file that can't be a secret's is refused, without what it holds."""
    path = case.file(content)
    with pytest.raises(SocketsError, match=f"secret: {why}") as caught:
        case.find(user="Admin", password_file=path)
    assert SECRET not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["missing", "."])
def test_unreadable(case: Case, name: str) -> None:
    """A file that can't be read is told with the reason."""
    with pytest.raises(SocketsError, match=r"No such file|Is a directory"):
        case.find(token_file=str(case.folder / name))


@pytest.mark.parametrize("text", [f"{SECRET}-1", "a b", "tökén"])
def test_no_token(case: Case, text: str) -> None:
    """What can't be a token is not sent, for it would be part of a header; nor is it repeated."""
    for environment, path in (({"ZABBIX_TOKEN": text}, None), ({}, case.file(text))):
        with pytest.raises(SocketsError, match="not an API token") as caught:
            case.find(environment, token_file=path)
        assert text not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("name", ["ZABBIX_USER", "ZABBIX_PASSWORD"])
def test_no_text(case: Case, name: str) -> None:
    """Bytes that are no text can't be sent."""
    environment = {"ZABBIX_USER": "Admin", "ZABBIX_PASSWORD": SECRET, name: f"{SECRET}\udcff"}
    with pytest.raises(SocketsError, match=f"^{name}: not UTF-8$"):
        case.find(environment)


@pytest.mark.parametrize("each", [Token(SECRET), Login("a", SECRET), Incomplete("a", SECRET)])
def test_never_shown(each: Token | Login | Incomplete) -> None:
    """Not even a debugger's or a log's repr tells it."""
    assert SECRET not in repr(each)


def test_nothing_to_ask() -> None:
    """What is complete needs no terminal."""
    assert credentials.complete(Token(TOKEN)) == Token(TOKEN)


@pytest.mark.parametrize("found", [Incomplete(None, SECRET), Incomplete(None, None)])
def test_nobody_to_ask(found: Incomplete, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal the ways to give it are told."""
    monkeypatch.setattr("sys.stdin", io.StringIO("Admin\n"))
    with pytest.raises(SocketsError) as caught:
        credentials.complete(found)
    assert "--token-file" in caught.value.hint
