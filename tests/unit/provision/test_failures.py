"""What went wrong, in one line, with a hint and without a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.host import own_files
from zabbix_sockets.provision import failures


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("Incorrect user name or password or account is temporarily blocked.", "block"),
        ('No permissions to call "configuration.import".', "Admin or Super admin"),
        ("You do not have permission to perform this operation.", "Admin or Super admin"),
        ("Only Super Admins can create host groups.", "Admin or Super admin"),
        ('Host with the same name "web1" already exists.', "right to see it"),
        ("unsupported version number", "newer"),
        ("Something else.", ""),
    ],
)
def test_words_of_the_server(words: str, hint: str) -> None:
    """The server's own words, and what helped others."""
    error = failures.refused(words, ())
    assert str(error) == words
    assert hint in error.hint
    assert bool(hint) == bool(error.hint)


@pytest.mark.parametrize("words", ["", " \n", "\0"])
def test_without_words(words: str) -> None:
    """An error without words is told all the same."""
    assert str(failures.refused(words, ())) == "the server refused, without a word"


def test_secrets_are_replaced() -> None:
    """A server that repeats what it was sent doesn't bring a secret to the terminal."""
    error = failures.refused("token abc of Admin: s3cret", ("s3cret", "abc", ""))
    assert str(error) == "token *** of Admin: ***"


def test_login() -> None:
    """A refused login says that it was one; a token's has its own hint."""
    error = failures.refused("Not authorised.", ())
    assert str(failures.login_refused(error, with_token=True)) == "login: Not authorised."
    assert "Authorization" in failures.login_refused(error, with_token=True).hint
    assert not failures.login_refused(error, with_token=False).hint


@given(st.text())
def test_one_line(text: str) -> None:
    """Any text becomes one line that a terminal can show."""
    line = failures.in_one_line(text)
    assert line.isprintable()
    assert len(line) <= 400


def test_unknown_exceptions() -> None:
    """An exception of which nothing is known is named, and its message left out."""
    error = failures.unreachable("https://z", ValueError("s3cret"), 5)
    assert str(error) == "https://z: failed (ValueError)"


def test_innermost_exception() -> None:
    """The libraries wrap each other's exceptions, in circles too: the system's word counts."""
    inner = ConnectionRefusedError(111, "Connection refused")
    middle = RuntimeError("s3cret", inner)
    inner.__context__ = middle
    error = failures.unreachable("https://z", OSError(middle), 5)
    assert str(error) == "https://z: Connection refused"


def test_nothing_at_all() -> None:
    """An exception without a word is named."""
    assert str(failures.unreachable("https://z", OSError(), 5)) == "https://z: failed (OSError)"


def test_words_without_a_number() -> None:
    """What a library says of a proxy or a file has no number, and is told all the same."""
    error = failures.unreachable("https://z", OSError("Tunnel connection failed: 407"), 5)
    assert str(error) == "https://z: Tunnel connection failed: 407"


def test_a_package_has_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """There an environment is made for it, and the templates are where the package has them."""
    monkeypatch.setattr(own_files, "is_packaged", lambda: True)
    hint = failures.without_extra(ImportError(name="pyzabbix.api")).hint
    assert hint == (
        "in the folder of zabbix-sockets' source:"
        " python3 -m venv provision && provision/bin/pip install '.[provision]',"
        " then provision/bin/zabbix-sockets provision;"
        " or import the YAML files in /usr/share/zabbix-sockets/zabbix_templates by hand,"
        " in the frontend"
    )
