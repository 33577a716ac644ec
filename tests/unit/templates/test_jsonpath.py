"""The JSONPath of these tests selects what the one of Zabbix does."""

import pytest

from .jsonpath import NoMatchError, query

FIRST = {"id": "x", "n": 0}
DOCUMENT = {"a": {"b": 1}, "rows": [FIRST, {"id": "y", "n": 1}, {"id": "(absent)"}]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.a.b", 1),
        ('$.rows[?(@.id == "x")]', [FIRST]),
        ('$.rows[?(@.id == "x" || @.id == "(absent)")].first().n', 0),
        ('$.rows[?(@.id == "z" || @.id == "(absent)")].first().id', "(absent)"),
        ('$.rows[?(@.id != "(absent)" && @.n <= 0)]', [FIRST]),
        ("$.rows[?(@.n <= 0)].first().id", "x"),
        ("$.rows[?(@.n > 0)].first().n", 1),
        ("$.rows[?(@.n < 0)].first().id", "(absent)"),
        ("$.rows[*].n.max()", 1),
        ("$.rows[?(@.n != 0 && @.n != 1)].first().id", "(absent)"),
    ],
)
def test_found(path: str, found: object) -> None:
    """A path selects values, a filter rows; what is missing is less than everything."""
    assert query(DOCUMENT, path) == found


@pytest.mark.parametrize(
    "path",
    [
        "$.b",
        "$.a.b.c",
        '$.rows[?(@.id == "z")]',
        "$.rows[?(@.other == 0)].first()",
        "$.rows[*].x.max()",
    ],
)
def test_not_found(path: str) -> None:
    """Where nothing is, that is an error and no value."""
    with pytest.raises(NoMatchError):
        query(DOCUMENT, path)


@pytest.mark.parametrize("path", ["a.b", "$..b", "$.rows[0]", "$.rows[?(@.id =~ 'x')]", "$.a.b()"])
def test_not_understood(path: str) -> None:
    """What the templates don't use is refused, not guessed."""
    with pytest.raises(ValueError, match="not "):
        query(DOCUMENT, path)
