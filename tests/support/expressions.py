"""Random expressions of ss(8)'s language, about sockets that there are."""

import random
from collections.abc import Sequence
from typing import NamedTuple

STATES = (
    *("established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait", "closed"),
    *("close-wait", "last-ack", "listening", "closing"),
    *("all", "connected", "synchronized", "bucket", "big"),
)
COMPARISONS = ("=", "==", "eq", "", "!=", "ne", "neq", "<", "lt", "<=", "le", ">", "gt", ">=", "ge")
GROUPS = {
    "all": set(STATES[:11]),
    "connected": set(STATES[:11]) - {"closed", "listening"},
    "synchronized": set(STATES[:11]) - {"closed", "listening", "syn-sent"},
    "bucket": {"syn-recv", "time-wait"},
    "big": set(STATES[:11]) - {"syn-recv", "time-wait"},
}
ANDS, ORS, NOTS = ("and", "&", "&&", ""), ("or", "|", "||"), ("not", "!")


def states_of(expression: str) -> set[str]:
    """Return the states that the first words of an expression choose, as ss(8) says it."""
    words = expression.split()
    chosen = GROUPS["all"] if words[:1] != ["state"] else set()
    for word, name in zip(words[::2], words[1::2]):
        if word not in ("state", "exclude"):
            break
        named = GROUPS.get(name, {name})
        chosen = chosen | named if word == "state" else chosen - named
    return chosen


class Values(NamedTuple):
    """What the conditions are about."""

    ports: Sequence[int]
    addresses: Sequence[str]
    devices: Sequence[str] = ()
    marks: Sequence[int] = ()
    cgroups: Sequence[str] = ()
    others: Sequence[str] = ()  # whole conditions that ss doesn't know


class Expressions:
    """Makes expressions; the same ones for the same seed.

    For ss (*for_ss*) no prefix of an address is that of an address of the other family, too.
    What the kernel lets through, or all if there is a `dev` in the expression, ss evaluates
    again by itself, and there the first 8 bits of ::1 are those of 0.0.0.0.
    """

    def __init__(self, seed: int, values: Values, *, for_ss: bool = False) -> None:
        self._random = random.Random(seed)
        self._values = values
        self._for_ss = for_ss

    def whole(self) -> str:
        """Return an expression with its states first, and spaces between all words."""
        states = [self._state() for _ in range(self._random.choice((0, 0, 0, 1, 1, 2)))]
        if not states_of(" ".join(states)):
            states = []  # ss shows its defaults then
        return " ".join([*states, *([self.any()] if self._random.random() < 0.9 else [])])

    def any(self, depth: int = 3) -> str:
        """Return an expression of up to 3 ** *depth* conditions."""
        choose = self._random.choice
        parts = [self._term(depth)]
        for _ in range(choose((0, 0, 1, 1, 2))):
            parts += [choose(choose((ANDS, ORS))), self._term(depth)]
        return " ".join(filter(None, parts))

    def _term(self, depth: int) -> str:
        chance = self._random.random()
        if chance < 0.15:
            return f"{self._random.choice(NOTS)} {self._term(depth)}"
        if chance < 0.4 and depth > 1:
            return f"( {self.any(depth - 1)} )"
        return self._condition()

    def _state(self) -> str:
        return f"{self._random.choice(('state', 'state', 'exclude'))} {self._random.choice(STATES)}"

    def _condition(self) -> str:
        choose, values = self._random.choice, self._values
        kinds = [self._port, self._port, self._host, self._host]
        if values.devices:
            kinds.append(lambda: f"dev {choose(('=', '!=', ''))} {choose(values.devices)}")
        if values.marks:
            kinds.append(self._mark)
        if values.cgroups:
            kinds.append(lambda: f"cgroup {choose(('=', '!='))} {choose(values.cgroups)}")
        if values.others:
            kinds += [lambda: choose(values.others), self._state]
        return choose(kinds)()

    def _number(self) -> int:
        near = self._random.choice(self._values.ports) + self._random.choice((0, 0, 0, -1, 1))
        return max(0, min(65535, near))

    def _port(self) -> str:
        choose = self._random.choice
        number = f"{choose(('', ':'))}{self._number()}"
        return f"{choose(('sport', 'dport'))} {choose(COMPARISONS)} {number}"

    def _mark(self) -> str:
        choose = self._random.choice
        mask = choose(("", "/1", "/0x3", "/0xffffffff", "/0"))
        return f"fwmark {choose(('=', '!='))} {choose(self._values.marks)}{mask}"

    def _host(self) -> str:
        choose = self._random.choice
        addresses = self._values.addresses
        if self._for_ss:
            addresses = [each for each in addresses if each not in ("0.0.0.0", "::")]
        address = choose(addresses)
        most = 128 if ":" in address else 32
        prefix = choose(("", "", "/0", f"/{most}", f"/{self._random.randrange(most)}", "/8", "/24"))
        if self._for_ss:
            least = most if address == "::1" else 96 if ":" in address else 8
            prefix = choose(("", f"/{self._random.randint(least, most)}"))
        host = f"[{address}{prefix}]" if ":" in address else f"{address}{prefix}"
        host = choose((host, host, host, "*", ""))
        port = f":{self._number()}" if not host or self._random.random() < 0.3 else ""
        return f"{choose(('src', 'dst'))} {choose(('', '=', 'eq'))} {host}{port}"
