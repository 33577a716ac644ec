"""What the parts of one call share: its time, and what is read once for all of them."""

from collections.abc import Callable
from typing import TypeVar, cast

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline

Made = TypeVar("Made")


class Shared:
    """One call's.

    Most calls on most hosts need nothing of what is read once, so it is imported and made when
    it is first asked for.

    Args:
        proc: where procfs is mounted.
        deadline: by when the answer is due.

    Attributes:
        checks: functions that tell whether what was asked of them was looked for in time.
    """

    def __init__(self, proc: str, deadline: Deadline) -> None:
        self.proc = proc
        self.deadline = deadline
        self.checks: list[Callable[[], bool]] = []
        self._made: dict[object, object] = {}
        self._shortages_before = shortage.times()

    def once(self, make: "Callable[[Shared], Made]") -> Made:
        """Return what *make* makes, the same whoever asks."""
        if make not in self._made:
            self._made[make] = make(self)
        return cast("Made", self._made[make])

    @property
    def is_short(self) -> bool:
        """Whether something was passed over for want of a descriptor or memory in its time."""
        return shortage.times() > self._shortages_before

    @property
    def complete(self) -> bool:
        """Whether nothing was left out for lack of time."""
        return all(check() for check in self.checks)
