"""User macros of hosts, as they are written on the command line and kept by a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.provision.macros import identity, parse_macro


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("{$SOCKETS.X}=5", "{$SOCKETS.X}", "5"),
        ("SOCKETS.X=5", "{$SOCKETS.X}", "5"),
        ("X_1=", "{$X_1}", ""),
        ("X=a=b", "{$X}", "a=b"),
        ("X={$Y}", "{$X}", "{$Y}"),
        ("X=ключ", "{$X}", "ключ"),
        ('{$X:"nginx"}=5', '{$X:"nginx"}', "5"),
        ("{$X:nginx}=5", "{$X:nginx}", "5"),
        ('{$X:"a=b}"}=5', '{$X:"a=b}"}', "5"),
        (r'{$X:"a\"}=1"}=5', r'{$X:"a\"}=1"}', "5"),
        ('{$X: "nginx" }=5', '{$X: "nginx" }', "5"),
        ('{$X:regex:"^ng.*x$"}=5', '{$X:regex:"^ng.*x$"}', "5"),
        ("{$X:}=5", "{$X:}", "5"),
    ],
)
def test_macros(text: str, name: str, value: str) -> None:
    """A name, with its braces or without, with a context or without, and all behind the =."""
    assert parse_macro(text) == (name, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=5",
        "X",
        "{$X}",
        "x=5",
        "{.X}=5",  # what a shell makes of "{$SOCKETS.X}=5"
        "{$x}=5",
        "{$}=5",
        "{#X}=5",
        "{$X=5",
        "$X=5",
        "{$X} =5",
        '{$X:"nginx}=5',
        '{$X:"nginx"y}=5',
        'X:"nginx"=5',
        "X=\0",
        "X=\udcff",
        '{$X:"\n"}=5',
        '{$X:"\udcff"}=5',
        f"{'X' * 253}=5",
        f"X={'5' * 2049}",
    ],
)
def test_no_macros(text: str) -> None:
    """What the server would refuse is refused here."""
    with pytest.raises(ValueError, match=r"NAME|UTF-8"):
        parse_macro(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{$X:nginx}", '{$X:"nginx"}'),
        ("{$X: nginx}", '{$X:"nginx"}'),
        ('{$X:"nginx"  }', '{$X:"nginx"}'),
        (r'{$X:"a\"b"}', '{$X:a"b}'),
        ("{$X:}", '{$X:""}'),
    ],
)
def test_same(one: str, other: str) -> None:
    """A server keeps one value for a context, quoted or not."""
    assert identity(one) == identity(other)


def test_different() -> None:
    """Names, contexts, expressions, and no context at all are told apart."""
    names = ["{$X}", "{$Y}", "{$X:}", "{$X:a}", "{$X:A}", "{$X:regex:a}", '{$X:" a"}', "{$X:a }"]
    assert len({identity(name) for name in names}) == len(names)


def test_unknown_spelling() -> None:
    """What a newer server may have is only ever the same as itself."""
    assert identity("{$x!}") == identity("{$x!}") != identity("{$X}")


@given(st.text(st.characters(exclude_categories=["C"]), max_size=200), st.text(max_size=200))
def test_any_context(context: str, value: str) -> None:
    """A quoted context may hold anything printable but a backslash at its end."""
    quoted = context.rstrip("\\").replace('"', '\\"')
    name = f'{{$X:"{quoted}"}}'
    try:
        macro = parse_macro(f"{name}={value}")
    except ValueError:
        assert not name.isprintable() or "\0" in value
    else:
        assert macro == (name, value)
        assert len(identity(name)) == 3


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text is a macro or a ValueError, and has an identity."""
    assert identity(text)
    try:
        macro = parse_macro(text)
    except ValueError:
        return
    assert macro.name.startswith("{$")
    assert text.endswith(f"={macro.value}")
