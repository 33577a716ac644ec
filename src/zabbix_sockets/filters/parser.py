"""Parser of expressions: from the text to conditions joined by and, or and not.

Operators have no precedence over each other: `a or b and c` is `(a or b) and c`, whatever
ss(8) says of it; ss itself reads it so, from left to right.
"""

from __future__ import annotations

from zabbix_sockets.filters import terms
from zabbix_sockets.filters.faults import fault
from zabbix_sockets.filters.hosts import SyntaxFaultError, parse_endpoint, parse_number, parse_port
from zabbix_sockets.filters.states import ALL, NAMES, mask_of
from zabbix_sockets.filters.terms import (
    And,
    HostCondition,
    NameCondition,
    Node,
    Not,
    Or,
    PortCondition,
)
from zabbix_sockets.filters.words import AND, CLOSE, END, NOT, OPEN, OR, Word, split
from zabbix_sockets.model.errors import UsageError

MAX_DEPTH = 100
"""The most levels of conditions within each other, which bounds recursion over an expression."""

MAX_LENGTH = 16_384
"""The most characters of an expression: a thousand ports, parsed in tens of milliseconds."""

_MAX_WORD = 0xFFFFFFFF
_STATE = ("state", "exclude", "excl")
_NAMED = ("dev", "cgroup", "user", "netns")
_CONDITIONS = (
    "a condition: state, exclude, sport, dport, src, dst, dev, fwmark, cgroup, process, pid,"
    " user, netns, or one in parentheses"
)


class Filter(str):
    """The text of an expression, with the conditions that it was parsed to."""

    __slots__ = ("node",)

    node: Node

    def __new__(cls, text: str, node: Node) -> Filter:
        """Make it of its text, and of the conditions that were read in that."""
        made = super().__new__(cls, text)
        made.node = node
        return made

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of its conditions: `state`, `dev`, `netns` and so on."""
        return terms.kinds(self.node)


def parse(text: str) -> Filter:
    """Return the filter of an expression; an empty one matches all sockets.

    What is a Filter already is not read again.

    Raises:
        UsageError: it is longer than MAX_LENGTH, or wrong; the hint shows where.
    """
    if isinstance(text, Filter):
        return text
    if len(text) > MAX_LENGTH:
        what = f"filter: it has {len(text)} characters, more than {MAX_LENGTH}"
        raise UsageError(what, "networks (10.0.0.0/8) and ranges (dport >= 8000) say more")
    parser = _Parser(text)
    return Filter(text, terms.TRUE if parser.next.role == END else parser.expression())


class _Parser:
    """Reads words from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = iter(split(text))
        self.next = next(self._words)
        self._depth = 0

    def expression(self) -> Node:
        """Return the expression; states that it begins with hold for all of it, as in ss."""
        node = self._states() if self._is_state() else None
        if node is None or self.next.role in (AND, OR):
            node, _ = self._chain(node)
        elif self.next.role not in (END, CLOSE):
            others, _ = self._chain()
            node = And((node, others))
        if self.next.role != END:
            raise self._fault(self.next, "there is no ( for it")
        return node

    def _fault(self, word: Word, what: str) -> UsageError:
        return fault(self._text, word.at, word.end, what)

    def _take(self) -> Word:
        word = self.next
        if word.role != END:
            self.next = next(self._words)
        return word

    def _chain(self, begun: Node | None = None) -> tuple[Node, int]:
        """Return conditions that are joined by operators, and their depth.

        *begun* is the first one, if it has been read.
        """
        first = self.next
        node, depth = (begun, 0) if begun else self._term()
        parts, joined = [node], AND
        while self.next.role not in (END, CLOSE):
            operator = self._take().role if self.next.role in (AND, OR) else AND
            if operator != joined and len(parts) > 1:
                parts, depth = [self._join(joined, parts)], depth + 1
            joined = operator
            node, inner = self._term()
            parts.append(node)
            depth = max(depth, inner)
            if depth > MAX_DEPTH:
                raise self._fault(first, "too many and and or by turns: use parentheses")
        return self._join(joined, parts), depth + 1

    @staticmethod
    def _join(operator: str, parts: list[Node]) -> Node:
        if len(parts) == 1:
            return parts[0]
        return And(tuple(parts)) if operator == AND else Or(tuple(parts))

    def _term(self) -> tuple[Node, int]:
        """Return a condition with the negations before it, and its depth."""
        negated = False
        while self.next.role == NOT:
            self._take()
            negated = not negated
        if self.next.role == OPEN:
            node, depth = self._parenthesized()
        elif self._is_state() and not negated:
            node, depth = self._states(), 0
        else:
            node, depth = self._condition(), 0
        return (Not(node) if negated else node), depth

    def _parenthesized(self) -> tuple[Node, int]:
        """Return the conditions in parentheses, and their depth."""
        opening = self._take()
        self._depth += 1
        if self._depth >= MAX_DEPTH:
            raise self._fault(opening, "too many parentheses within each other")
        node, depth = self._chain()
        if self.next.role == END:
            raise self._fault(opening, "there is no ) for it")
        self._take()
        self._depth -= 1
        return node, depth

    def _is_state(self) -> bool:
        return self.next.text in _STATE and not self.next.quoted

    def _states(self) -> Node:
        """Return the condition of `state` and `exclude` clauses that follow each other."""
        mask = ALL if self.next.text != "state" else 0
        while self._is_state():
            excluded = self._take().text != "state"
            states = self._mask()
            mask = mask & ~states if excluded else mask | states
        return terms.StatesCondition(mask)

    def _mask(self) -> int:
        word = self._take()
        mask = mask_of(word.text) if word.role == "word" else None
        if mask is None:
            raise self._fault(word, f"expected a state: {NAMES}")
        return mask

    def _condition(self) -> Node:
        word = self._take()
        name = "" if word.quoted else word.text
        if name in _STATE:
            mask = self._mask()
            return terms.StatesCondition(mask if name == "state" else ALL & ~mask)
        if name in ("sport", "dport"):
            return self._port(local=name == "sport")
        if name in ("src", "dst"):
            return self._host(local=name == "src")
        if name in _NAMED or name in ("fwmark", "process", "pid"):
            return self._equal(name)
        raise self._fault(word, f"expected {_CONDITIONS}")

    def _comparison(self) -> tuple[str, Word]:
        """Return the operator, `=` if there is none, and the word at its place."""
        word = self.next
        if word.comparison:
            self._take()
        return word.comparison or "=", word

    def _value(self, expected: str) -> Word:
        word = self._take()
        if word.role != "word" or (word.comparison and not word.quoted):
            raise self._fault(word, f"expected {expected}")
        return word

    def _port(self, *, local: bool) -> Node:
        comparison, _ = self._comparison()
        word = self._value("a port")
        try:
            number = parse_port(word.text)
        except SyntaxFaultError as error:
            raise self._fault(word, str(error)) from None
        if number is None and comparison not in ("=", "!="):
            raise self._fault(word, "expected a port to compare with")
        return _compared(local, comparison, number)

    def _host(self, *, local: bool) -> Node:
        comparison, sign = self._comparison()
        word = self._value("an address")
        try:
            address, prefix, port = parse_endpoint(word.text)
        except SyntaxFaultError as error:
            raise self._fault(word, str(error)) from None
        if address is None:
            if port is None and comparison not in ("=", "!="):
                raise self._fault(sign, "addresses are compared by = and != only")
            return _compared(local, comparison, port)
        if comparison not in ("=", "!="):
            raise self._fault(sign, "addresses are compared by = and != only")
        node = HostCondition(local, address, prefix, port)
        return node if comparison == "=" else Not(node)

    def _equal(self, name: str) -> Node:
        """Return a condition that is compared by = and != only."""
        comparison, sign = self._comparison()
        if comparison not in ("=", "!="):
            raise self._fault(sign, f"{name} is compared by = and != only")
        word = self._value(_EXPECTED[name])
        node = self._leaf(name, word)
        return node if comparison == "=" else Not(node)

    def _leaf(self, name: str, word: Word) -> Node:
        if name == "process":
            return terms.ProcessCondition(word.text)
        if name == "fwmark":
            value, slash, mask = word.text.partition("/")
            return terms.MarkCondition(
                self._number(name, word, value),
                self._number(name, word, mask if slash else "0xffffffff"),
            )
        if name == "pid":
            return terms.PidCondition(self._number(name, word, word.text))
        number = None if word.quoted else parse_number(word.text)
        if number is not None and number <= _MAX_WORD:
            if name == "dev":
                return terms.DeviceCondition(number)
            if name == "user":
                return terms.UserCondition(number)
        return NameCondition(name, word.text, word.at, word.end)

    def _number(self, name: str, word: Word, text: str) -> int:
        number = parse_number(text)
        if number is None or number > _MAX_WORD:
            raise self._fault(word, f"expected {_EXPECTED[name]}")
        return number


_EXPECTED = {
    "dev": "a network device's name or index",
    "fwmark": "a mark: a number, or number/mask",
    "cgroup": "a cgroup's path, such as /system.slice/nginx.service",
    "process": "a process's name",
    "pid": "a process's number",
    "user": "a user's name or number",
    "netns": "a network namespace's name or number",
}


_NEGATED = {"!=": "=", "<": ">=", ">": "<="}
"""The comparisons that the kernel lacks, and those of which they are the negation."""


def _compared(local: bool, comparison: str, number: int | None) -> Node:
    """Return the condition for a port and an operator, by those that the kernel has: =, >=, <=.

    The number None is any port.
    """
    if number is None:
        return terms.Constant(comparison == "=")
    if comparison in _NEGATED:
        return Not(PortCondition(local, _NEGATED[comparison], number))
    return PortCondition(local, comparison, number)
