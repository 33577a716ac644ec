"""How many rounds those tests do that find more the longer they run: the one home of all sizes.

`make test` does few, in which a fault that is always there shows; `make test-all` as many as a
rare one needs; `make soak` is for a night. TEST_ROUNDS says which: short, full or soak.
"""

import os

SIZE = os.environ.get("TEST_ROUNDS", "short")
IS_SHORT = SIZE == "short"


def _of(short: int, full: int, soak: int) -> int:
    return {"short": short, "full": full, "soak": soak}[SIZE]


CHURN = _of(100, 1000, 20_000)
"""Snapshots by each source, beside processes that open and close sockets."""

EXPRESSIONS = _of(40, 260, 5000)
"""Random filters for each seed."""

HEALTHY_MINUTES = _of(90, 300, 600)
"""Documents of a host on which nothing goes wrong, one a minute; there are several such hosts."""

KILLS = _of(5, 10, 200)
"""Kills of a send at random moments, with each version of zabbix_sender."""

NAMESPACES = _of(60, 200, 200)
"""Network namespaces that there are at once."""

EACH_STEP = not IS_SHORT
"""Whether tests/unit/rig lets each step of a call fail, or a sample of them: see its plan.py."""
