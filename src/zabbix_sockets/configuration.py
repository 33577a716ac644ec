"""Reader of the configuration file: checks all of it, and tells every error with its line.

tomllib tells the line of what is no TOML, and nothing of where a value was: so a fault in a value
is found again in the text, by the keys that lead to it. `_Lines` does that, in a text that tomllib
has accepted. To parse longer and longer beginnings of the text instead would find statements only,
not the elements of an array of many lines, and would take seconds where the file is long.
"""

import re
import sys
from collections.abc import Iterator
from errno import EFBIG
from itertools import takewhile
from typing import Any, NamedTuple, Union

from zabbix_sockets.grouping.rules import FIELDS, Rule, RuleError, make_rule
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.readers.files import read_regular

MAX_BYTES = 250_000
MAX_RULES = 1000
"""The longest file, and the most rules: each call reads it, a quarter of a second for either."""

_KEYS = ("name", *FIELDS)
_HINT = "conf/zabbix-sockets.toml has examples; zabbix-sockets files prints where it is"

_Path = tuple[Union[str, int], ...]
"""The keys that lead to a value, and the indices of arrays among them."""

# The tokens of TOML; strings first, for they may hold all others. Compiled when needed.
_TOKEN = (
    r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'"
    r"|#[^\n]*" + r"|[][{}=,.\n]" + r"""|[^][{}=,.\s"'#]+"""
)


class Configuration(NamedTuple):
    """The contents of the file.

    Attributes:
        groups: the rules that name groups, in their order.
        filter: the expression for the sockets that count; empty for all.
        clients: the clients of listeners are counted.
        aliases: names of addresses and networks on maps, as they are written; `provision map` alone
            looks at them.
    """

    groups: tuple[Rule, ...] = ()
    filter: str = ""
    clients: bool = False
    aliases: tuple[tuple[str, str], ...] = ()


class _FaultError(ValueError):
    """A fault in the value that *path* leads to; the message says which."""

    def __init__(self, path: _Path, message: str, hint: str = _HINT) -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


def load(path: str, *, required: bool, rules: bool = True) -> Configuration:
    """Return the configuration of the file *path*; that of a missing one is empty.

    A missing file is an error if it is *required*. Without *rules* the caller needs the other keys
    alone: a file that has none is not parsed then, so a fault in its rules is no error.

    Raises:
        SocketsError: it can't be read, or something in it is wrong; the message says where.
    """
    raw = _read(path, required=required)
    # A key may be written with escapes.
    may_have_keys = any(each in raw for each in (b"filter", b"clients", b"\\"))
    if not raw or not (rules or may_have_keys):
        return Configuration()
    try:
        text = raw.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SocketsError(f"{path} line {line}: not UTF-8") from None
    document = _parsed(path, text)
    try:
        return Configuration(
            tuple(_rules(document)), _filter(document), _clients(document), _aliases(document)
        )
    except _FaultError as fault:
        line = _Lines(text).of(fault.path)
        raise SocketsError(f"{path} line {line}: {fault}", fault.hint) from None


def _read(path: str, *, required: bool) -> bytes:
    """Return the bytes of the file *path*; b"" if it is missing and not *required*.

    Raises:
        SocketsError: it can't be read, or is longer than MAX_BYTES.
    """
    try:
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError as error:
        if required:
            raise SocketsError(f"{path}: {error.strerror}", _HINT) from None
        return b""
    except PermissionError as error:
        hint = "let the users who may ask read it, the agent's among them: it holds no secrets"
        raise SocketsError(f"{path}: {error.strerror}", hint) from None
    except OSError as error:
        if error.errno == EFBIG:
            raise SocketsError(f"{path}: longer than {MAX_BYTES} bytes", _HINT) from None
        raise SocketsError(f"{path}: {error.strerror}") from None


def _loads(text: str) -> dict[str, Any]:
    """Return the document of a text in TOML.

    Raises:
        tomllib.TOMLDecodeError: it is none.
        RecursionError, ValueError: it has too many brackets within each other, or digits.
    """
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415  # takes milliseconds, and most hosts have no file
    else:
        import tomli as tomllib  # noqa: PLC0415  # likewise; it is what became tomllib

    return tomllib.loads(text)


def _parsed(path: str, text: str) -> dict[str, Any]:
    """Return the document of the text of the file *path*.

    Raises:
        SocketsError: it is no TOML, or is beyond the parser's bounds.
    """
    try:
        return _loads(text)
    except (RecursionError, ValueError) as error:
        if type(error) in (RecursionError, ValueError):  # the latter: an integer of many digits
            too = "digits" if isinstance(error, ValueError) else "brackets within each other"
            line = _line_of_failure(text, type(error))
            raise SocketsError(f"{path} line {line}: too many {too}", _HINT) from None
        what, _, place = str(error).removesuffix(")").rpartition(" (at ")
        if found := re.fullmatch(r"line (\d+), column (\d+)", place):
            line, where = int(found[1]), f"column {found[2]}"
        else:
            line, where = text.rstrip().count("\n") + 1, place
        if "'\\'" in what:
            where += "; put regular expressions and names with references in single quotes"
        raise SocketsError(f"{path} line {line}: {what} ({where})", _HINT) from None


def _line_of_failure(text: str, kind: type[Exception]) -> int:
    """Return the line at which the parser, which reads from start to end, raises *kind*."""
    lines = text.splitlines(keepends=True)

    def fails(count: int) -> bool:
        try:
            _loads("".join(lines[:count]))
        except (RecursionError, ValueError) as error:
            return type(error) is kind
        return False

    parsed, failing = 0, len(lines)  # how many lines surely don't fail, and how many do
    while parsed < failing:
        middle = (parsed + failing) // 2
        if fails(middle):
            failing = middle
        else:
            parsed = middle + 1
    return "".join(lines[:failing]).rstrip().count("\n") + 1


def _rules(document: dict[str, Any]) -> Iterator[Rule]:
    """Yield the rules of the parsed *document*.

    Raises:
        _FaultError: a key is unknown, or a value can't be.
    """
    _refuse_unknown(document, ("filter", "clients", "group", "map"), ())
    groups = document.get("group", [])
    if isinstance(groups, dict):
        raise _FaultError(
            ("group",), "[group] is one table: write [[group]], in double brackets, for each rule"
        )
    if not isinstance(groups, list):
        raise _FaultError(("group",), '"group" must be an array of tables: write [[group]]')
    for index, table in enumerate(groups):
        path = ("group", index)
        if not isinstance(table, dict):
            raise _FaultError(path, '"group" must hold tables only')
        if index >= MAX_RULES:
            raise _FaultError(path, f"more than {MAX_RULES} rules")
        _refuse_unknown(table, _KEYS, path)
        for key, value in table.items():
            if not isinstance(value, str):
                raise _FaultError((*path, key), f'"{key}" must be a string')
        if "name" not in table:
            raise _FaultError(path, 'a rule without a "name"')
        try:
            yield make_rule(table.pop("name"), table)
        except RuleError as error:
            what = f'"{error.key}": {error}' if error.key else str(error)
            raise _FaultError((*path, error.key), what) from None


def _filter(document: dict[str, Any]) -> str:
    """Return the expression of *document* for the sockets that count; empty for all.

    Raises:
        _FaultError: it is no text, or can't be parsed.
    """
    expression = document.get("filter", "")
    if not isinstance(expression, str):
        raise _FaultError(("filter",), '"filter" must be a string')
    if expression:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few files have one

        try:
            return parse(expression)
        except UsageError as error:
            raise _FaultError(("filter",), str(error), error.hint) from None
    return expression


def _aliases(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the addresses and names of the table [map.aliases] of *document*.

    Raises:
        _FaultError: it is none, or a name is no text.
    """
    table = document.get("map", {})
    if not isinstance(table, dict):
        raise _FaultError(("map",), '"map" must be a table: write [map.aliases]')
    _refuse_unknown(table, ("aliases",), ("map",))
    aliases = table.get("aliases", {})
    if not isinstance(aliases, dict):
        raise _FaultError(("map", "aliases"), '"aliases" must be a table: write [map.aliases]')
    for address, name in aliases.items():
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise _FaultError(("map", "aliases", address), f'"{address[:64]}" must be a name')
    return tuple(aliases.items())


def _clients(document: dict[str, Any]) -> bool:
    """Return whether *document* wants the clients of listeners counted.

    Raises:
        _FaultError: it says neither true nor false.
    """
    clients = document.get("clients", False)
    if not isinstance(clients, bool):
        raise _FaultError(("clients",), '"clients" must be true or false')
    return clients


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], path: _Path) -> None:
    """Raise _FaultError if the table that *path* leads to has another key than *known* ones."""
    for key in table:
        if key not in known:
            from difflib import get_close_matches  # noqa: PLC0415  # slow, and rarely needed

            shown = key[:64]
            near = get_close_matches(shown, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            raise _FaultError((*path, key), f'unknown key "{shown}": {hint}')


class _Lines:
    """The lines of the keys, tables and elements of a text that is valid TOML."""

    def __init__(self, text: str) -> None:
        self._lines: dict[_Path, int] = {(): 1}
        self._counts: dict[_Path, int] = {}  # index of the last [[table]] of each path
        self._tokens = _tokens(text)
        self._read()

    def of(self, path: _Path) -> int:
        """Return the line, from 1, of a key, table or element; if it has none, of what holds it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _read(self) -> None:
        table: _Path = ()
        path: _Path | None = None  # of the statement at hand
        for word, line in self._tokens:
            if word == "\n":
                path = None
            elif path is None and word == "[":
                path = table = self._header(line)
            elif path is None:
                path = self._key(word, line, table)
            elif word in ("[", "{"):
                self._within(word, path)

    def _header(self, line: int) -> _Path:
        """Record the line of a [table] or [[table]], behind its first bracket; return its path."""
        keys = list(self._until("]"))
        is_array = keys[0] == "["
        path: _Path = ()
        for remaining in range(len(keys) - is_array, 0, -1):
            path = self._record((*path, _key(keys[-remaining])), line)
            if is_array and remaining == 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = self._record((*path, self._counts[path]), line)
        return path

    def _key(self, word: str, line: int, path: _Path) -> _Path:
        """Record the line of a key and of the tables in it (a.b = ...); return its path."""
        for part in (word, *self._until("=")):
            path = self._record((*path, _key(part)), line)
        return path

    def _within(self, opening: str, path: _Path) -> None:
        """Record the lines of the elements of an array, or of the keys of an inline table."""
        index = 0
        inner: _Path | None = None  # of the element or key at hand
        for word, line in self._tokens:
            if word in ("]", "}"):
                return
            if word == ",":
                index, inner = index + 1, None
            elif word != "\n":
                if inner is None and opening == "{":
                    inner = self._key(word, line, path)
                    continue
                if inner is None:
                    inner = self._record((*path, index), line)
                if word in ("[", "{"):
                    self._within(word, inner)

    def _until(self, end: str) -> Iterator[str]:
        """Yield the keys, and brackets, before the token *end*."""
        tokens = takewhile(lambda token: token[0] != end, self._tokens)
        return (word for word, _ in tokens if word != ".")

    def _record(self, path: _Path, line: int) -> _Path:
        """Record the line at which *path* is for the first time; return *path*."""
        self._lines.setdefault(path, line)
        return path


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield the tokens of a text in TOML without comments, each with its line, from 1."""
    line, end = 1, 0
    for match in re.finditer(_TOKEN, text, re.DOTALL):
        line += text.count("\n", end, match.start())
        end = match.start()
        if match[0][0] != "#":
            yield match[0], line


def _key(word: str) -> str:
    """Return the key that a token is, without quotes and escapes."""
    key: str = _loads(f"key={word}")["key"] if word[0] in "\"'" else word
    return key
