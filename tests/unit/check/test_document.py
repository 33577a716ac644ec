"""What an agent's user gets as a document: any text is one, or words for why it is none."""

from __future__ import annotations

import pytest

from zabbix_sockets.check.document import parsed


def test_document() -> None:
    """An object with a collector is a document, one with an error is that error."""
    assert parsed('{"collector": {}}') == {"collector": {}}
    assert parsed('{"error": "no sockets"}') == "no sockets"


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "{", "[" * 100_000, '{"collector": 7}', '{"error": 7}'),
        '{"error": ' + "[" * 900 + "]" * 900 + "}",
    ],
)
def test_no_document(text: str) -> None:
    """Whoever listens at the agent's port may say anything, however deep."""
    words = parsed(text)
    assert isinstance(words, str)
    assert words.startswith("no ")
    assert len(words) < 200
