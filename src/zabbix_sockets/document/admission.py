"""Admission to discovery: which rows are offered to a server, so that they are bounded in number.

No name has an age that a user can't forge, so it is remembered who was admitted: in a table with a
fixed number of slots for each list. A row keeps its slot until it was not seen for some days; new
rows get free slots, a few a day. So a server, which keeps a row for LIFETIME_DAYS after it was seen
last, never has more rows of a list than there are slots.

The table is bytes, which command.admitted keeps in a file. A slot has a digest of the row's id, of
128 bits: nobody finds a name that has the digest of another's. It needs no key, so the file has no
secret.
"""

from _collections_abc import Callable, Collection, Iterable, Mapping, Sequence
from struct import Struct

from zabbix_sockets.document.row import RankedRow, is_offered, is_settled
from zabbix_sockets.model.digests import digest_of
from zabbix_sockets.model.light_typing import Any, NamedTuple, Optional
from zabbix_sockets.model.snapshot import LISTS, USER, Standing

LIFETIME_DAYS = 7
"""The days for which a server keeps what discovery doesn't offer any more: the templates say so."""
_UNSEEN_DAYS = LIFETIME_DAYS + 1
"""The days after which a slot is free again; one more, as a server notices within an hour."""
_DAY = 86_400
_DAYS = 1 << 32
"""What days are counted up to; only a damaged table comes near to it."""


class Quota(NamedTuple):
    """The rows of a list that are admitted: *first* of them at first, and *daily* new ones."""

    first: int
    daily: int

    @property
    def slots(self) -> int:
        """The most rows of the list that a server keeps."""
        return self.first + self.daily * LIFETIME_DAYS


QUOTAS: Mapping[str, Quota] = dict(zip(LISTS, (Quota(120, 40), Quota(160, 20), Quota(80, 10))))
"""The quotas of the lists: 400 processes, 300 listeners, 150 upstreams."""

NOTHING_NEW = "nothing new is discovered: "
"""The beginning of the document's warning that it can't be kept who is admitted."""

_OF_ALL_USERS, _OF_ONE_USER, _OF_ONE_SERVICE = 2, 4, 2
"""The parts of the slots, and of what is admitted in a day, which the rows of all users and
containers may take (a half), those of each of these (a quarter), and those of one unit or user of
the system (a half)."""
_PASSING = USER + 1
"""The order of a port that the kernel has picked: behind all others."""
_MOST_ASKED = 1000
"""The most rows of a list of which is asked in a call whose they are; of more, others by turns."""

_MAGIC = b"zsocket\1"  # its last byte is the version
_HEADER = Struct("<8sI3HxxQQ16s")
_DIGEST_SIZE = 16
"""The bytes of an id's digest."""
_SLOT = Struct(f"<{_DIGEST_SIZE}s3I")
_DIGEST = Struct("<16s12x")
"""A slot of which only the digest is looked at."""
_FREE = bytes(_DIGEST_SIZE)
_BY_USERS = 1 << 31
"""The bit of a slot's share which says that it is a user's, or a container's."""
_AT_FIRST = 1 << 30
"""The bit of a slot's share which says that the table was made with it: its row isn't new."""
_SHARES = 1 << 30
"""Numbers of shares are below it."""

SIZE = _HEADER.size + _SLOT.size * sum(quota.slots for quota in QUOTAS.values())
"""The length of a table in bytes."""


class CallMoment:
    """The moment of a call, by two clocks, so that none that jumps makes a day.

    *time* are Unix seconds, *uptime* seconds since the boot, suspensions included, and *boot* 16
    bytes that no other boot has.
    """

    __slots__ = ("boot", "time", "uptime")

    def __init__(self, time: int, uptime: int, boot: bytes) -> None:
        self.time = time
        self.uptime = uptime
        self.boot = boot


Ask = Callable[[Collection[int]], Optional[Standing]]
"""Finds out whose a row is, by the indices of its processes in the Snapshot; None if there is no
time for that."""
Units = Callable[[Collection[int]], Optional[str]]
"""Finds out the unit of a row, by the same; None: there is none, not one alone, or no time."""


class _Slots:
    """The slots of one list: a part of a table, which is changed in its place.

    Attributes:
        taken: the number of the slot of each digest, from 0.
    """

    def __init__(self, table: bytearray, start: int, count: int) -> None:
        self._table = table
        self._start = start
        self._count = count
        slots = bytes(table[start : start + _SLOT.size * count])
        self.taken = {
            digest: number
            for number, (digest,) in enumerate(_DIGEST.iter_unpack(slots))
            if digest != _FREE
        }

    def read(self, number: int) -> tuple[bytes, int, int, int]:
        """Return a slot: digest of the row's id, days when it was seen last and admitted, share.

        Days are numbered from 1, when the table was made; _begin_day() says when one begins. The
        share is a number of the user, unit or container for which the row takes a slot, with the
        marks _BY_USERS and _AT_FIRST.
        """
        found: tuple[bytes, int, int, int] = _SLOT.unpack_from(self._table, self._at(number))
        return found

    def write(self, number: int, slot: tuple[bytes, int, int, int]) -> None:
        """Replace a slot by one as read() returns it."""
        _SLOT.pack_into(self._table, self._at(number), *slot)

    def take(self, number: int, slot: tuple[bytes, int, int, int]) -> None:
        """Write a slot that was free."""
        self.write(number, slot)
        self.taken[slot[0]] = number

    def release(self, digest: bytes) -> None:
        """Make the slot of *digest* free."""
        self.write(self.taken.pop(digest), (_FREE, 0, 0, 0))

    def free(self) -> list[int]:
        """Return the numbers of the slots that are free, rising."""
        return sorted(set(range(self._count)).difference(self.taken.values()))

    def _at(self, number: int) -> int:
        return self._start + number * _SLOT.size


class AdmissionTable:
    """The table of those who were admitted.

    Args:
        data: its bytes, as they were kept. None, or what is no table of this version: none was.
        now: the moment of this call.

    Attributes:
        data: its bytes now.
        changed: they have to be kept.
        new: the rows that were admitted today, without those with which the table was made.
    """

    def __init__(self, data: Optional[bytes], now: CallMoment) -> None:
        found = data if data and len(data) == SIZE and data.startswith(_MAGIC) else None
        self.changed = found is None
        self.new: list[RankedRow[Any]] = []
        self._origin = 0 if found else _AT_FIRST
        self.data = bytearray(found or SIZE)
        self._now = self._began = now
        self._day = 1
        self._allowances = {name: quota.first for name, quota in QUOTAS.items()}
        if found:
            _, self._day, *allowances, time, uptime, boot = _HEADER.unpack_from(found)
            self._began = CallMoment(time, uptime, boot)
            self._allowances = dict(zip(LISTS, allowances))
        self._slots: dict[str, _Slots] = {}
        start = _HEADER.size
        for name, quota in QUOTAS.items():
            self._slots[name] = _Slots(self.data, start, quota.slots)
            start += quota.slots * _SLOT.size
        self._is_new_day = self._begin_day()
        if self.changed:
            self._write_head()

    def _begin_day(self) -> bool:
        """Begin the next day if this one is over; return whether it was.

        By both clocks: one that is set forward ends no day, and one that is set back begins it
        anew. After a boot the time alone counts, so that a host that is off at night has days.
        """
        now, began = self._now, self._began
        passed = now.time - began.time
        if 0 <= passed < _DAY:
            return False
        is_over = passed >= _DAY and (
            now.boot != began.boot or not 0 <= now.uptime - began.uptime < _DAY
        )
        if is_over:
            for name, quota in QUOTAS.items():
                left = self._allowances[name] - self._admitted_today(name)
                self._allowances[name] = max(quota.daily, min(left, quota.first))
            self._day = (self._day + 1) % _DAYS
        if is_over or passed < 0:
            self._began = now
            self.changed = True
        return is_over

    def _write_head(self) -> None:
        allowances = self._allowances.values()
        began = self._began
        last = began.time, began.uptime, began.boot
        _HEADER.pack_into(self.data, 0, _MAGIC, self._day, *allowances, *last)

    def _admitted_today(self, name: str) -> int:
        slots = self._slots[name]
        return sum(slots.read(number)[2] == self._day for number in slots.taken.values())

    def see(self, name: str, rows: Iterable[RankedRow[Any]]) -> None:
        """Set `admitted` of rows of a list: the number of the row's slot, from 1; 0 without one.

        After a new day has begun, the slots of rows that were not seen for long become free.
        """
        slots, taken = self._slots[name], self._slots[name].taken
        for each in rows:
            digest = _digest(each.row.id)
            number = taken.get(digest)
            each.row.admitted = 0 if number is None else number + 1
            if number is not None:
                _, seen, admitted, share = slots.read(number)
                if admitted == self._day and not share & _AT_FIRST:
                    self.new.append(each)
                if seen != self._day:
                    slots.write(number, (digest, self._day, admitted, share))
                    self.changed = True
        if self._is_new_day:
            for digest, number in list(taken.items()):
                if not 0 <= self._day - slots.read(number)[1] < _UNSEEN_DAYS:
                    slots.release(digest)

    def has(self, name: str) -> Callable[[str], bool]:
        """Return the function that tells whether a row of that list has a slot, by its id."""
        taken = self._slots[name].taken
        return lambda row_id: _digest(row_id) in taken

    def admit(self, name: str, rows: Sequence[RankedRow[Any]], ask: Ask) -> list[Any]:
        """Give free slots to rows of a list that have none, and return these rows.

        First to those of the system's units, then to those of its users, and among these first to
        what listens, then to what has lasted longer.
        """
        slots = self._slots[name]
        left = self._allowances[name] - self._admitted_today(name)
        free = slots.free()[: max(0, left)]
        new = [
            each
            for each in rows
            if not each.row.admitted and is_settled(each.row) and each.stands_for == 1
        ]
        if not free or not new:
            return []
        if len(new) > _MOST_ASKED:
            start = self._now.time // 60 * _MOST_ASKED % len(new)
            new = (new[start:] + new[:start])[:_MOST_ASKED]
        candidates = [_candidate(each, standing) for each in new if (standing := ask(each.members))]
        parts = _Parts(QUOTAS[name].slots, self._allowances[name])
        for number in slots.taken.values():
            _, _, admitted, share = slots.read(number)
            parts.add(share & ~_AT_FIRST, is_new=admitted == self._day)
        chosen: list[Any] = []
        for _, each, share in sorted(candidates, key=_order_of):
            if len(chosen) == len(free):
                break
            if parts.allow(share):
                number = free[len(chosen)]
                origin = self._origin
                slots.take(number, (_digest(each.row.id), self._day, self._day, share | origin))
                if not origin:
                    self.new.append(each)
                parts.add(share, is_new=True)
                each.row.admitted = number + 1
                chosen.append(each.row)
        self.changed |= bool(chosen)
        return chosen


_Candidate = tuple[tuple[int, bool, float, str], RankedRow[Any], int]
"""The order of a row that may be admitted, the row, and the share that its slot would have."""


def _candidate(ranked: RankedRow[Any], standing: Standing) -> _Candidate:
    """Return a row that may be admitted, by the standing of its processes."""
    order, name, age = standing
    if getattr(ranked.row, "ephemeral", 0):
        order, name = _PASSING, "ephemeral ports"
    elif ranked.row.netns:
        order = max(order, USER)
    share = int.from_bytes(_digest(name)[:4], "big") % _SHARES or 1 if name else 0
    if order >= USER:
        share |= _BY_USERS
    return (order, ranked.rank[1], -age, ranked.row.id), ranked, share


def _order_of(candidate: _Candidate) -> tuple[int, bool, float, str]:
    return candidate[0]


class _Parts:
    """Counts the slots that each user, unit or container (share) has taken, in all and today.

    No share may take more than its part of all *slots*, nor of a day's *allowance* of new ones.
    """

    def __init__(self, slots: int, allowance: int) -> None:
        self._most = slots, allowance
        self._counts: dict[int, list[int]] = {}

    def add(self, share: int, *, is_new: bool) -> None:
        """Count a slot of *share*; *is_new*: it was admitted today."""
        for each in {share, share & _BY_USERS}:
            counts = self._counts.setdefault(each, [0, 0])
            counts[0] += 1
            counts[1] += is_new

    def allow(self, share: int) -> bool:
        """Whether *share* may have one slot more."""
        is_by_users = share & _BY_USERS
        if is_by_users and not self._has_room(_BY_USERS, _OF_ALL_USERS):
            return False
        of_one = _OF_ONE_USER if is_by_users else _OF_ONE_SERVICE
        return not share % _BY_USERS or self._has_room(share, of_one)

    def _has_room(self, share: int, part: int) -> bool:
        counts = self._counts.get(share, (0, 0))
        return all(count < max(1, most // part) for count, most in zip(counts, self._most))


def _digest(text: str) -> bytes:
    """Return 16 bytes that no other text has, nor can anybody find one that has them."""
    return digest_of(text.encode("utf-8", "surrogateescape"), _DIGEST_SIZE)


class Admission:
    """What a call admits to discovery: a table, and how it is kept.

    Args:
        table: the one that was kept.
        ask: finds out whose a row is.
        keep: keeps the bytes of the table; returns why they can't be kept, empty if they are.
        units: finds out the unit of a listener that is new; None: nobody asks.
    """

    def __init__(
        self,
        table: AdmissionTable,
        ask: Ask,
        keep: Callable[[bytes], str],
        units: Optional[Units] = None,
    ) -> None:
        self._table = table
        self._ask = ask
        self._keep = keep
        self._units = units

    def was_admitted(self, name: str) -> Callable[[str], bool]:
        """Return the function that tells whether a row of that list has a slot, by its id."""
        return self._table.has(name)

    def apply(self, ranked: Mapping[str, Sequence[RankedRow[Any]]]) -> str:
        """Set `admitted` of the rows of each list, and admit new ones if that can be kept.

        Of listeners that were admitted today `unit` is set, too, but not of those on ephemeral
        ports, nor of those that were there when the table was made: to ask for all of them would
        take each call some time.

        Return the reason why it can't be; empty: it is kept.
        """
        table, admitted = self._table, []
        for name, rows in ranked.items():
            table.see(name, rows)
            admitted += table.admit(name, rows, self._ask)
        for each in table.new:
            if self._units and each.row.SINGULAR == "listener" and not each.row.ephemeral:
                unit = self._units(each.members)
                if unit:
                    each.row.unit = unit
        reason = self._keep(bytes(table.data)) if table.changed else ""
        if reason:
            for row in admitted:
                row.admitted = 0
        return reason


def count_left_out(rows: Iterable[RankedRow[Any]]) -> int:
    """Return how many rows of the host itself would be discovered, if they were admitted.

    Rows of other network namespaces, of ports that the kernel has picked, and of processes that are
    not settled don't count: by default the templates leave them out.
    """
    return sum(
        each.not_offered
        or (
            each.stands_for == 1
            and not is_offered(each.row)
            and not each.row.netns
            and is_settled(each.row)
            and not getattr(each.row, "ephemeral", 0)
        )
        for each in rows
    )
