"""As much of JSONPath as the templates use, as Zabbix' server understands it.

Its one surprise: a field that is missing is less than everything, so `@.missing <= 0` holds.
(src/libs/zbxjson/jsonpath.c compares an empty variant; observed on 6.0 and 7.0.)
"""

import operator
import re
from typing import Any

_STEP = re.compile(
    r"\.(?P<first>first)\(\)|\.(?P<name>\w+)|\[\?\((?P<condition>.*?)\)\]"
    r"|\[\*\]\.(?P<greatest>[\w.]+)\.max\(\)"
)
_COMPARISON = re.compile(r'@\.(\w+) (==|!=|<=|>=|<|>) (?:"([^"]*)"|(\d+))')
_OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


class NoMatchError(LookupError):
    """Nothing is there; Zabbix calls it an error of the step."""


def query(value: Any, path: str) -> Any:
    """Return what *path* selects: one value, or with a filter a list.

    Raises:
        NoMatchError: there is nothing.
        ValueError: the path is not understood.
    """
    if not path.startswith("$"):
        raise ValueError(f"not from the root: {path}")
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if not step:
            raise ValueError(f"not understood: {path[at:]}")
        value = _stepped(value, step)
        at = step.end()
    return value


def _stepped(value: Any, step: re.Match[str]) -> Any:
    if step["condition"]:
        found = [row for row in value if _holds(row, step["condition"])]
        if not found:
            raise NoMatchError(step[0])
        return found
    if step["greatest"]:
        return max(_found(value, step["greatest"].split(".")))
    try:
        return value[0] if step["first"] else value[step["name"]]
    except (IndexError, KeyError, TypeError) as exc:
        raise NoMatchError(step[0]) from exc


def _found(rows: list[Any], names: list[str]) -> list[Any]:
    """Return what is at these names in the rows that have it."""
    for name in names:
        rows = [row[name] for row in rows if name in row]
    if not rows:
        raise NoMatchError(".".join(names))
    return rows


def _holds(row: dict[str, Any], condition: str) -> bool:
    return any(
        all(_compares(row, comparison) for comparison in each.split(" && "))
        for each in condition.split(" || ")
    )


def _compares(row: dict[str, Any], comparison: str) -> bool:
    parsed = _COMPARISON.fullmatch(comparison)
    if not parsed:
        raise ValueError(f"not understood: {comparison}")
    name, sign, text, number = parsed.groups()
    wanted = text if number is None else int(number)
    if name not in row:
        return sign in ("!=", "<=", "<")
    return bool(_OPERATORS[sign](row[name], wanted))
