"""How late in its second each of many lines comes, of which there is one a second."""

import math
from collections.abc import Iterator, Sequence

_EARLY = 0.25
"""By so much of a second one may come earlier than the first did; the others are late."""


def delays(times: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Yield of each time the seconds since the first one, and by how many it is late.

    That is counted from the last whole second after the first time, or from the next one where that
    is no more than 0.25 s away: so it is from -0.25 up to 0.75.
    """
    for each in times:
        since = each - times[0]
        yield since, since - math.floor(since + _EARLY)
