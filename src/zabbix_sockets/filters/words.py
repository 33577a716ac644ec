"""Lexer of expressions: words with their places. Pure."""

import re

from zabbix_sockets.filters.faults import fault
from zabbix_sockets.model.light_typing import NamedTuple

_WORD = re.compile(
    r"(?P<quoted>\"[^\"]*\"|'[^']*')"
    r"|(?P<sign>&&|&|\|\||\||<=|>=|==|!=|[()=<>!])"
    r"|(?P<word>[^\s()=<>!&|\"']+)"
)
_SPACE = re.compile(r"\s*")

AND, OR, NOT = "and", "or", "not"
OPEN, CLOSE, END = "(", ")", ""
"""Roles of words; END is behind the last one."""
_SIGNS = {"&&": AND, "&": AND, "||": OR, "|": OR, "!": NOT}
_JOINING = (AND, OR, NOT)
_COMPARISONS = {
    **dict.fromkeys(("=", "==", "eq"), "="),
    **dict.fromkeys(("!=", "ne", "neq"), "!="),
    **dict.fromkeys(("<", "lt"), "<"),
    **dict.fromkeys(("<=", "le", "leq"), "<="),
    **dict.fromkeys((">", "gt"), ">"),
    **dict.fromkeys((">=", "ge", "geq"), ">="),
}


class Word(NamedTuple):
    """A word of an expression, at text[at:end]; without its quotation marks if *quoted*.

    *role* is AND, OR, NOT, OPEN, CLOSE, or END behind the last word; "word" for all others.
    """

    text: str
    at: int
    end: int
    role: str = "word"
    quoted: bool = False

    @property
    def comparison(self) -> str:
        """The comparison that it is, as a sign such as ">="; empty if it is none."""
        return "" if self.quoted else _COMPARISONS.get(self.text, "")


def split(text: str) -> list[Word]:
    """Return the words of an expression; the last one has the role END.

    Raises:
        UsageError: a quotation has no end, or the text is not Unicode.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise fault(text, error.start, error.end, "it is not UTF-8") from None
    words = []
    at = _start(text, 0)
    while at < len(text):
        match = _WORD.match(text, at)
        if not match:
            raise fault(text, at, len(text), f"expected another {text[at]} at the end")
        words.append(_word(match))
        at = _start(text, match.end())
    words.append(Word("", len(text.rstrip()), len(text.rstrip()), END))
    return words


def _start(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _word(match: re.Match[str]) -> Word:
    text, at, end = match[0], match.start(), match.end()
    if match["quoted"]:
        return Word(text[1:-1], at, end, quoted=True)
    role = _SIGNS.get(text, text)
    return Word(text, at, end, role if role in (*_JOINING, OPEN, CLOSE) else "word")
