"""How many rounds those tests do that find more the longer they run: the one home of all sizes.

`make test` does few, in which a fault that is always there shows; `make test-all` as many as a
rare one needs; `make rounds` is for a night. TEST_ROUNDS says which: short, full or soak.
"""

import os

SIZE = os.environ.get("TEST_ROUNDS", "short")
IS_SHORT = SIZE == "short"


def _of(short: int, full: int, soak: int) -> int:
    return {"short": short, "full": full, "soak": soak}[SIZE]


CHURN = _of(30, 1000, 20_000)
"""Snapshots by each source, beside processes that open and close sockets."""

EXAMPLES = _of(8, 100, 3000)
"""What each property of tests/unit is tried with, unless it says another number."""

LAYOUTS = _of(6, 30, 500)
"""Drawings that each property of a map's layout is tried with."""

EXPRESSIONS = _of(20, 260, 5000)
"""Random filters for each seed."""

FUZZ_SECONDS = _of(100, 2000, 60_000) / 1000
"""Processor time for mutations of the inputs of each target of tests/fuzz, of which there are some
forty; `make fuzz` has a time of its own."""

HEALTHY_MINUTES = _of(20, 300, 600)
"""Documents of a host on which nothing goes wrong, one a minute; there are several such hosts."""

FLOOD = _of(300, 10_000, 10_000)
"""Names that one container runs within FLOOD_MINUTES, with each version of the server."""

FLOOD_MINUTES = _of(20, 60, 60)
"""Documents of the host on which it runs, one a minute."""

KILLS = _of(5, 10, 200)
"""Kills of a send at random moments, with each version of zabbix_sender."""

NAMESPACES = _of(60, 200, 200)
"""Network namespaces that there are at once."""

TOTALS = _of(10, 1000, 20_000)
"""Rounds of connections that are compared with the totals in the kernel, beside others."""

INTERRUPTED = _of(4000, 30_000, 60_000)
"""Connections that are counted while softirqs come by interrupts."""

RUSH = _of(1, 60, 60)
"""Seconds with 10,000 short connections in each, which the totals have to count. Each brings 100
upstreams, of which there is room for 16,384."""

SOAK_SECONDS = _of(30, 300, 3600)
"""How long tests/zabbix/soak watches what runs for long."""

SOAK_CONNECTIONS = _of(200, 2000, 2000)
"""Connections a second that come and go meanwhile."""

EACH_STEP = not IS_SHORT
"""Whether tests/unit/rig lets each step of a call fail, or a sample of them: see its plan.py."""

WHOLE_TRIAL = not IS_SHORT
"""Whether tests/zabbix/trial makes every fault with real programs, or a few of them."""
