"""The context of one call: its deadline, and objects that are made once for all of its parts."""

from _collections_abc import Callable

from zabbix_sockets.model import shortage
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_typing import TypeVar, cast

Made = TypeVar("Made")


class CallContext:
    """The deadline of one call, and the objects that its parts use together.

    Most calls on most hosts need none of these objects, so each is made, and its module imported,
    when it is first asked for.

    Args:
        proc: the path where procfs is mounted.
        deadline: the moment at which the answer is due.

    Attributes:
        checks: functions that return False if an object left something out for lack of time.
        unlisted_containers: ids of containers that the file of containers' names doesn't have yet.
    """

    def __init__(self, proc: str, deadline: Deadline) -> None:
        self.proc = proc
        self.deadline = deadline
        self.checks: list[Callable[[], bool]] = []
        self.unlisted_containers: set[str] = set()
        self._made: dict[object, object] = {}
        self._shortages_before = shortage.times()

    def once(self, make: "Callable[[CallContext], Made]") -> Made:
        """Return the object that *make* returns for this context.

        *make* is called the first time; later calls with the same *make* get the same object.
        """
        if make not in self._made:
            self._made[make] = make(self)
        return cast("Made", self._made[make])

    @property
    def is_short(self) -> bool:
        """Whether a file was passed over for want of a descriptor or memory since this was made."""
        return shortage.times() > self._shortages_before

    @property
    def complete(self) -> bool:
        """Whether all *checks* return True: nothing was left out for lack of time."""
        return all(check() for check in self.checks)
