"""Rules AllowKey and DenyKey of an agent's configuration, evaluated as agents do. Pure.

The first rule that matches a key decides; a key that none matches is allowed. In a rule's key and
in its parameters "*" stands for any characters; a last parameter "*" stands for any number of them,
and a rule "*" for all keys. Source: Zabbix, "Restricting agent checks", and
src/libs/zbxsysinfo/sysinfo.c, zbx_check_request_access_rules().
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

ALLOW, DENY = "AllowKey", "DenyKey"

_KEY = re.compile(r"([0-9A-Za-z_.*-]+)(?:\[(.*)\])?", re.DOTALL)


class KeyRule(NamedTuple):
    """A rule: its setting, ALLOW or DENY, and its pattern."""

    setting: str
    pattern: str

    def __str__(self) -> str:
        return f"{self.setting}={self.pattern}"


class _Key(NamedTuple):
    """A key, or a pattern of one; parameters are None where it has no brackets."""

    name: str
    parameters: list[str] | None


def deciding(key: str, rules: Iterable[KeyRule]) -> KeyRule | None:
    """Return the rule that decides about *key*; None if none of them matches: it is allowed."""
    asked = _parsed(key)
    for rule in rules:
        pattern = _parsed(rule.pattern)
        if asked and pattern and _matches(asked, pattern):
            return rule
    return None


def _parsed(text: str) -> _Key | None:
    """Return the key or pattern *text* in parts; None if it is none, as an agent sees it."""
    found = _KEY.fullmatch(text.strip())
    if not found:
        return None
    name, inner = found[1], found[2]
    return _Key(name, None if inner is None else _parameters(inner))


def _parameters(text: str) -> list[str]:
    """Return the parameters in the brackets of a key: split at commas outside of quotes."""
    parameters, at = [], 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" "))
        if text[at : at + 1] == '"':
            end = at + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end : end + 2] == '\\"' else 1
            parameters.append(text[at + 1 : end].replace('\\"', '"'))
            comma = text.find(",", end)
        else:
            comma = text.find(",", at)
            parameters.append(text[at : comma if comma >= 0 else len(text)])
        if comma < 0:
            return parameters
        at = comma + 1


def _matches(key: _Key, pattern: _Key) -> bool:
    given, wanted = key.parameters, pattern.parameters
    if not pattern.name.strip("*") and wanted in (None, [""]):
        return True
    if not _fits(key.name, pattern.name):
        return False
    if given is None or wanted is None:
        return given is wanted
    while wanted[-2:] == ["*", "*"]:
        wanted = wanted[:-1]
    if wanted[-1] == "*":
        return len(given) >= len(wanted) - 1 and all(map(_fits, given, wanted[:-1]))
    return len(given) == len(wanted) and all(map(_fits, given, wanted))


def _fits(text: str, pattern: str) -> bool:
    """Whether *text* fits *pattern*, in which "*" stands for any characters."""
    parts = map(re.escape, re.sub(r"\*+", "*", pattern).split("*"))
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None
