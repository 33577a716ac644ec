"""What is known of a call before its arguments are parsed: whether an agent asks, single options.

The process that waits for the work imports this, and so it imports next to nothing itself.
"""

from __future__ import annotations

from _collections_abc import Sequence

FOR_AGENT = ("get", "discover", "count")
"""The verbs whose stdout an agent takes for the value, that of a failure included."""

TIMED = (*FOR_AGENT, "show")
"""The verbs that are done in a child, and are ended when their time is over."""


def last_value(arguments: Sequence[str], option: str) -> str | None:
    """Return the value of the last *option* of that name: "" without one, None if it isn't given.

    The arguments are not checked.
    """
    given = None
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if argument == "--":
            break
        if name == option:
            given = value if equals else "".join(arguments[at + 1 : at + 2])
    return given
