r"""Rules of the configuration file: an administrator's own names for groups of processes.

A rule's expressions look at what a process is and says of itself; what they capture can be
part of the group's name. Captured parts of all expressions are numbered through, in the
order of `FIELDS`.

A user's process says in its command line whatever it likes, so it can put itself into
another group, or make up a name of a rule that captures: that is inherent. A rule that also
has an expression on `user` or `unit`, which a process can't choose, prevents it, when it is
anchored (^...$): a user's own services may be called anything. Such a rule looks at no command line
of others, either, however long its expression would take for what a user has put there. Names stay
bounded in any case, and of too many those of system users stay.
"""

from __future__ import annotations

import re
from _collections_abc import Iterable, Mapping, Sequence

from zabbix_sockets.model.light_typing import NamedTuple
from zabbix_sockets.model.names import MAX_LENGTH, safe_name
from zabbix_sockets.model.snapshot import FIRST_USER_UID

MAX_NAMES = 50
"""The most distinct names that a rule makes; the group of all others is one more."""
MAX_EXPRESSION = 4096  # characters; longer ones take long to compile
MAX_MATCHED = 32768  # characters of a field; a Java class path is long

_REFERENCE = r"\\(?:([0-9]+)|g<([^<>]*)>|(\\))"  # compiled when needed


class Facts(NamedTuple):
    """The fields of a process that rules have expressions on.

    They are names as the document shows them, empty where there is none. The command line is as
    the process has it; bytes that are no UTF-8 are lone surrogates, as of os.fsdecode().
    """

    process: str
    command: str = ""
    unit: str = ""
    container: str = ""
    user: str = ""


FIELDS = Facts._fields
"""The keys of a rule that are expressions, in the order in which captured parts are numbered."""
_TRIED = ("user", "unit", "container", "process", "command")
"""The same in the order in which they are tried: what a user can't choose, then what is short."""


class Rule(NamedTuple):
    """A name for the processes that all expressions match.

    Attributes:
        parts: the parts of the name: literal text, or the index, from 0, of a captured part.
        expressions: pairs of a field and its regular expression, in the order of FIELDS.
        tried: the same in the order in which they are tried, until one doesn't match.
    """

    parts: tuple[str | int, ...]
    expressions: tuple[tuple[str, re.Pattern[str]], ...]
    tried: tuple[tuple[str, re.Pattern[str]], ...]

    def captured(self, facts: Facts) -> list[str] | None:
        """Return the parts of *facts* that the expressions capture, each cut at MAX_LENGTH.

        A group that took no part in a match captures "". None if an expression doesn't match.
        """
        found: dict[str, re.Match[str]] = {}
        for field, expression in self.tried:
            match = expression.search(getattr(facts, field)[:MAX_MATCHED])
            if match is None:
                return None
            found[field] = match
        groups = (found[field].groups("") for field, _ in self.expressions)
        return [part[:MAX_LENGTH] for captured in groups for part in captured]

    def name(self, captured: Sequence[str] | None = None) -> str:
        """Return the name with the parts *captured*, safe to print; it may be empty.

        None stands for "*" in the place of each captured part.
        """
        name = "".join(
            part if isinstance(part, str) else "*" if captured is None else captured[part]
            for part in self.parts
        )
        return name and safe_name(name.encode("utf-8", "surrogateescape"))


class RuleError(ValueError):
    """A rule that can't be; the message says why.

    Attributes:
        key: the key at fault; empty where the rule as such is.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


def make_rule(name: str, expressions: Mapping[str, str]) -> Rule:
    """Return the rule of a *name*, maybe with references, and regular *expressions* by field.

    Raises:
        RuleError: an expression or the name can't be understood.
    """
    compiled = tuple(
        (field, _compiled(field, expressions[field])) for field in FIELDS if field in expressions
    )
    if not compiled:
        raise RuleError("", f"a rule needs an expression on one of {', '.join(FIELDS)}")
    indices: dict[str, int] = {}  # of captured parts, by number and name
    fields: dict[str, str] = {}  # that capture by name
    total = 0
    for field, expression in compiled:
        for group, number in expression.groupindex.items():
            if group in fields:
                raise RuleError(field, f'"{fields[group]}" has a group "{group}" too')
            fields[group] = field
            indices[group] = total + number - 1
        total += expression.groups
    indices |= {str(index + 1): index for index in range(total)}
    tried = sorted(compiled, key=lambda each: _TRIED.index(each[0]))
    parts = tuple(part for part in _parts(name, indices, total) if part != "")
    return Rule(parts, compiled, tuple(tried))


def _compiled(field: str, expression: str) -> re.Pattern[str]:
    import warnings  # noqa: PLC0415  # most hosts have no rules

    if len(expression) > MAX_EXPRESSION:
        raise RuleError(field, f"is longer than {MAX_EXPRESSION} characters")
    if "\b" in expression:
        raise RuleError(field, "has a backspace: put it in single quotes to mean a word's end")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # such as [[:alpha:]], which re takes for a set
            return re.compile(expression)
    except re.error as error:
        raise RuleError(field, _placed(error.msg, error.pos)) from None
    except RecursionError:
        raise RuleError(field, "too many parentheses within each other") from None
    except (Warning, ValueError, OverflowError) as error:
        what, _, position = str(error).rpartition(" at position ")
        message = _placed(what, int(position)) if position.isdecimal() else str(error)
        raise RuleError(field, message) from None


def _placed(what: str, position: int | None) -> str:
    return what if position is None else f"{what} (column {position + 1} of the expression)"


def _parts(name: str, indices: Mapping[str, int], total: int) -> Iterable[str | int]:
    r"""Yield the literal parts of a name and, as indices, its references such as \1."""
    if not name.strip():
        raise RuleError("name", "is empty")
    if len(name) > MAX_LENGTH:
        raise RuleError("name", f"is longer than {MAX_LENGTH} characters")
    if name.startswith("("):
        raise RuleError("name", "begins with a parenthesis: such names are the document's own")
    end = 0
    for reference in re.finditer(_REFERENCE, name):
        yield _literal(name[end : reference.start()])
        end = reference.end()
        digits, group, backslash = reference.groups()
        if backslash:
            yield backslash
            continue
        referred = digits or group
        if referred.isascii() and referred.isdecimal():
            referred = referred.lstrip("0") or "0"
        if referred not in indices:
            raise RuleError("name", f'refers to group "{referred}", {_known(indices, total)}')
        yield indices[referred]
    yield _literal(name[end:])


def _literal(text: str) -> str:
    if "\\" in text:
        raise RuleError("name", "has a backslash that begins no reference to a group")
    return text


def _known(indices: Mapping[str, int], total: int) -> str:
    """Return in words which groups the expressions have."""
    if not total:
        return "but the expressions capture nothing"
    names = "".join(f", {name}" for name in indices if not name.isdecimal())
    return f"but the expressions have {'1' if total == 1 else f'1-{total}'}{names}"


def needs(rules: Iterable[Rule]) -> frozenset[str]:
    """Return the fields, besides the process's name, on which any of *rules* has an expression."""
    return frozenset(field for rule in rules for field, _ in rule.expressions) - {"process"}


class RuleNames:
    """Names the groups of processes by rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def of(self, facts: Iterable[tuple[Facts, int]]) -> list[str]:
        """Return for each process, given by its facts and its uid, the name of its group.

        It is that of the first rule that matches, or else the process's. When a rule makes
        more than MAX_NAMES, the first ones stay: those that a system user's process has, then
        by name; all others become one. The order of the processes makes no difference.
        """
        made: list[tuple[int, str]] = []  # the rule's index, -1 without one, and its name
        known: dict[Facts, tuple[int, str]] = {}
        systems: list[dict[str, bool]] = [{} for _ in self._rules]  # name: has a system user it
        for each, uid in facts:
            if each not in known:
                known[each] = self._first(each)
            rule, name = known[each]
            made.append((rule, name))
            if rule >= 0:
                systems[rule][name] = systems[rule].get(name, False) or uid < FIRST_USER_UID
        instead = [self._bounded(rule, names) for rule, names in zip(self._rules, systems)]
        return [name if rule < 0 else instead[rule].get(name, name) for rule, name in made]

    def _first(self, facts: Facts) -> tuple[int, str]:
        """Return the index of the first rule that matches, and the name that it makes.

        Without one, or where that name is empty, they are -1 and the process's name.
        """
        for index, rule in enumerate(self._rules):
            captured = rule.captured(facts)
            if captured is not None:
                name = rule.name(captured)
                return (index, name) if name else (-1, facts.process)
        return -1, facts.process

    @staticmethod
    def _bounded(rule: Rule, systems: Mapping[str, bool]) -> dict[str, str]:
        """Return the names that a rule makes beyond MAX_NAMES, each with the one that replaces it.

        *systems* are all names that it makes, and whether a system user's process has it.
        """
        in_order = sorted(systems, key=lambda name: (not systems[name], name))
        return dict.fromkeys(in_order[MAX_NAMES:], rule.name())
