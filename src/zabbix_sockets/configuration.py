"""The configuration file: read, checked fully, and every error told with its line."""

import re
from collections.abc import Iterator
from errno import EFBIG
from itertools import takewhile
from typing import Any, NamedTuple

from zabbix_sockets.grouping.rules import FIELDS, Rule, RuleError, make_rule
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.readers.files import read_regular

MAX_BYTES = 250_000
MAX_RULES = 1000
"""Either takes a quarter of a second to read, and each call reads the file."""

_KEYS = ("name", *FIELDS)
_HINT = "conf/zabbix-sockets.toml has examples; zabbix-sockets files prints where it is"

_Path = tuple[str | int, ...]
"""The keys that lead to a value, and the indices of arrays among them."""

# What TOML consists of; strings first, for they may hold all the rest. Compiled when needed.
_WORD = (
    r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}" + r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'"
    r"|#[^\n]*" + r"|[][{}=,.\n]" + r"""|[^][{}=,.\s"'#]+"""
)


class Configuration(NamedTuple):
    """What the file says."""

    groups: tuple[Rule, ...] = ()
    filter: str = ""


class _FaultError(ValueError):
    """What is wrong with the value that *path* leads to."""

    def __init__(self, path: _Path, message: str, hint: str = _HINT) -> None:
        super().__init__(message)
        self.path = path
        self.hint = hint


def load(path: str, *, required: bool, rules: bool = True) -> Configuration:
    """Return what the file at *path* says; a missing one says nothing unless *required*.

    Without *rules* the caller needs its filter alone: a file that has none is not looked at
    further, so what is wrong in its rules is no error then.

    Raises:
        SocketsError: it can't be read, or something in it is wrong; the message says where.
    """
    raw = _read(path, required=required)
    may_filter = b"filter" in raw or b"\\" in raw  # a key may be written with escapes
    if not raw or not (rules or may_filter):
        return Configuration()
    try:
        text = raw.decode("utf-8-sig")  # some editors begin a file with a mark
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SocketsError(f"{path} line {line}: not UTF-8") from None
    document = _parsed(path, text)
    try:
        return Configuration(tuple(_rules(document)), _filter(document))
    except _FaultError as fault:
        lines = _Lines(text).found
        while fault.path not in lines:
            fault.path = fault.path[:-1]
        raise SocketsError(f"{path} line {lines[fault.path]}: {fault}", fault.hint) from None


def _read(path: str, *, required: bool) -> bytes:
    """Return the bytes of the file; none of a missing one unless it is *required*."""
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


def _parsed(path: str, text: str) -> dict[str, Any]:
    """Return the TOML document that *text* is."""
    import tomllib  # noqa: PLC0415  # takes milliseconds, and most hosts have no file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, place = str(error).removesuffix(")").rpartition(" (at ")
        if line := re.fullmatch(r"line (\d+), column (\d+)", place):
            number, where = int(line[1]), f"column {line[2]}"
        else:
            number, where = text.rstrip().count("\n") + 1, place
        if "'\\'" in what:
            where += "; put regular expressions and names with references in single quotes"
        raise SocketsError(f"{path} line {number}: {what} ({where})", _HINT) from None
    except (RecursionError, ValueError) as error:  # ValueError: an integer of many digits
        too = "brackets within each other" if isinstance(error, RecursionError) else "digits"
        line_number = _line_of_failure(text, type(error))
        raise SocketsError(f"{path} line {line_number}: too many {too}", _HINT) from None


def _line_of_failure(text: str, kind: type[Exception]) -> int:
    """Return the line at which the parser, which reads from start to end, raises *kind*."""
    import tomllib  # noqa: PLC0415
    from bisect import bisect_left  # noqa: PLC0415

    lines = text.splitlines(keepends=True)

    def fails(count: int) -> bool:
        try:
            tomllib.loads("".join(lines[:count]))
        except (RecursionError, ValueError) as error:
            return type(error) is kind
        return False

    return (
        "".join(lines[: bisect_left(range(len(lines)), True, key=fails)]).rstrip().count("\n") + 1
    )


def _rules(document: dict[str, Any]) -> Iterator[Rule]:
    """Yield the rules of a document."""
    _refuse_unknown(document, ("filter", "group"), ())
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
    """Return the expression for the sockets that count; empty for all."""
    expression = document.get("filter", "")
    if not isinstance(expression, str):
        raise _FaultError(("filter",), '"filter" must be a string')
    if expression:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few files have one

        try:
            parse(expression)
        except UsageError as error:
            raise _FaultError(("filter",), str(error), error.hint) from None
    return expression


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], path: _Path) -> None:
    for key in table:
        if key not in known:
            from difflib import get_close_matches  # noqa: PLC0415  # slow, and rarely needed

            shown = key[:64]
            near = get_close_matches(shown, known, 1)
            rest = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(known)}"
            raise _FaultError((*path, key), f'unknown key "{shown}": {rest}')


class _Lines:
    """The lines of the keys and tables of a text that is known to be right."""

    def __init__(self, text: str) -> None:
        self.found: dict[_Path, int] = {(): 1}
        self._counts: dict[_Path, int] = {}  # index of the last [[table]] of each path
        self._words = _words(text)
        self._read()

    def _read(self) -> None:
        table: _Path = ()
        path: _Path | None = None  # of the statement at hand
        for word, line in self._words:
            if word == "\n":
                path = None
            elif path is None and word == "[":
                path = table = self._header(line)
            elif path is None:
                path = self._key(word, line, table)
            elif word in ("[", "{"):
                self._within(word, path)

    def _header(self, line: int) -> _Path:
        """Note a [table] or [[table]]."""
        words = list(self._until("]"))
        is_array = words[0] == "["
        path: _Path = ()
        for left in range(len(words) - is_array, 0, -1):
            path = self._note((*path, _key(words[-left])), line)
            if is_array and left == 1:
                self._counts[path] = self._counts.get(path, -1) + 1
            if path in self._counts:
                path = self._note((*path, self._counts[path]), line)
        return path

    def _key(self, word: str, line: int, path: _Path) -> _Path:
        """Note a key and what it is a part of: a.b = ..."""
        for part in (word, *self._until("=")):
            path = self._note((*path, _key(part)), line)
        return path

    def _within(self, opening: str, path: _Path) -> None:
        """Note the elements of an array, or the keys of an inline table."""
        index = 0
        inner: _Path | None = None  # of the element or key at hand
        for word, line in self._words:
            if word in ("]", "}"):
                return
            if word == ",":
                index, inner = index + 1, None
            elif word != "\n":
                if inner is None and opening == "{":
                    inner = self._key(word, line, path)
                    continue
                if inner is None:
                    inner = self._note((*path, index), line)
                if word in ("[", "{"):
                    self._within(word, inner)

    def _until(self, end: str) -> Iterator[str]:
        words = takewhile(lambda word: word[0] != end, self._words)
        return (word for word, _ in words if word != ".")

    def _note(self, path: _Path, line: int) -> _Path:
        self.found.setdefault(path, line)
        return path


def _words(text: str) -> Iterator[tuple[str, int]]:
    """Yield the words of a text in TOML, each with its line."""
    line, end = 1, 0
    for match in re.finditer(_WORD, text, re.DOTALL):
        line += text.count("\n", end, match.start())
        end = match.start()
        if match[0][0] != "#":
            yield match[0], line


def _key(word: str) -> str:
    """Return a key without its quotes."""
    import tomllib  # noqa: PLC0415

    key: str = tomllib.loads(f"key={word}")["key"] if word[0] in "\"'" else word
    return key
