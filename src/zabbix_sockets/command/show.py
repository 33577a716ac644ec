"""The verb show, for people: a table of a list of the document, of clients or of single sockets."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, NamedTuple, Optional, TypeVar

from zabbix_sockets.collector.single import TellVisibility, iter_sockets
from zabbix_sockets.command.call import (
    Call,
    collected,
    filter_kinds,
    print_answer,
    query_without_asker,
    with_filter,
)
from zabbix_sockets.command.clients import (
    ClientOptions,
    CollectedClients,
    monitor_clients,
    show_clients,
)
from zabbix_sockets.command.in_turn import take_in_turn
from zabbix_sockets.command.options import ACTIVE_WITHIN, Collecting, Measuring
from zabbix_sockets.document.document import NO_LIMITS, Document, build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, UsageError
from zabbix_sockets.model.option import Option, positive, seconds
from zabbix_sockets.model.snapshot import ALL_NETNS, LISTS, OWN, Query, Visibility
from zabbix_sockets.model.socket import Socket, UnixSocket
from zabbix_sockets.model.wire import PROTOCOLS, UNIX
from zabbix_sockets.terminal import monitor
from zabbix_sockets.terminal.clients import (
    check_client_sort,
    client_sort_words,
)
from zabbix_sockets.terminal.layout import style_of
from zabbix_sockets.terminal.row_changes import UNCOUNTED, AskedTable, RowChanges
from zabbix_sockets.terminal.socket_changes import SocketChanges
from zabbix_sockets.terminal.sockets import (
    ALL_STATES,
    ShownSocket,
    check_states,
    omitted_socket_columns,
    render_sockets,
    socket_json,
    socket_order,
    unix_socket_order,
    wants_state,
)
from zabbix_sockets.terminal.tables import (
    check_sort,
    in_order,
    notes_of,
    omitted_columns,
    render,
    render_keys,
    sort_words,
)

_CLIENTS, _SOCKETS = "clients", "sockets"
_KINDS = (*LISTS, _CLIENTS, _SOCKETS)
_PROTOCOLS = (*PROTOCOLS, UNIX)
S = TypeVar("S", Socket, UnixSocket)


def _sort_words() -> tuple[str, ...]:
    """Return the titles of all columns that tables may be sorted by, for completions."""
    return tuple(dict.fromkeys((*sort_words(), *client_sort_words())))


class ShowOptions(NamedTuple):
    """The options of `show`."""

    kind: Annotated[str, Option("", ", ".join(_KINDS), "KIND", choices=_KINDS)]
    listener: Annotated[
        str,
        Option(
            "",
            "show clients: the listener by its id, or all on a port (default: all)",
            "LISTENER",
        ),
    ] = ""
    collecting: Collecting = Collecting()
    json: Annotated[
        bool,
        Option("--json", "print JSON instead of a table", action="store_true", either="form"),
    ] = False
    keys: Annotated[
        bool,
        Option(
            "--keys",
            "show processes: print an item key of each, as every agent takes it",
            action="store_true",
            either="form",
        ),
    ] = False
    active_within: Annotated[int, ACTIVE_WITHIN] = Measuring().active_within
    tcp_info: Annotated[
        Optional[bool],
        Option(
            "--tcp-info",
            "round-trip times and retransmissions of TCP connections (default: yes; for"
            " show sockets: no)",
            action="optional",
        ),
    ] = None
    interval: Annotated[
        Optional[float],
        Option(
            "--interval",
            "print it again at this interval, with rates and what is new or gone; q ends it",
            "SECONDS",
            seconds,
        ),
    ] = None
    times: Annotated[
        Optional[int], Option("--count", "with --interval: end after so many times", "N", positive)
    ] = None
    sort: Annotated[
        str,
        Option(
            "--sort",
            "by this column, such as estab or, with --interval, sent/s (not for sockets)",
            "COLUMN",
            words=_sort_words,
            either="form",
        ),
    ] = ""
    protocol: Annotated[
        tuple[str, ...],
        Option(
            "--protocol",
            "sockets of this protocol: tcp, udp or unix (repeatable; default: tcp and udp)",
            "PROTOCOL",
            action="append",
            words=_PROTOCOLS,
        ),
    ] = ()
    state: Annotated[
        tuple[str, ...],
        Option(
            "--state",
            "sockets in this state, such as close_wait; all: in every one (repeatable; default:"
            " listen, established, and all of UDP)",
            "STATE",
            action="append",
            words=ALL_STATES,
        ),
    ] = ()


def show(options: ShowOptions, call: Call) -> None:
    """Print a table, or the same rows as JSON; with --interval again and again.

    Raises:
        UsageError: options don't go together, or are wrong.
        SocketsError: nothing can be collected as the options say.
    """
    if options.keys and (options.kind, options.collecting.group_by) != (
        "processes",
        DEFAULT_GROUPING,
    ):
        raise UsageError("--keys is for show processes, and not for other groupings")
    if options.times and not options.interval:
        raise UsageError("--count is for --interval")
    if options.keys and options.interval:
        raise UsageError("--keys come once")
    if options.state and options.kind != _SOCKETS:
        raise UsageError("--state is for show sockets")
    _check_protocols(options)
    check_states(options.state)
    if options.listener and options.kind != _CLIENTS:
        raise UsageError("a listener is for show clients")
    _check_sort(options)
    options = options._replace(collecting=with_filter(options.collecting))
    if options.kind == _CLIENTS:
        _show_clients(options, call)
    elif options.interval:
        _monitor(options, options.interval)
    else:
        make = _show_sockets if options.kind == _SOCKETS else _show_rows
        print_answer(options.collecting, call, lambda deadline: make(options, deadline))


def _check_sort(options: ShowOptions) -> None:
    """Check that the column to sort by is one of the table.

    Raises:
        UsageError: it is not.
    """
    if not options.sort:
        return
    has_rates = bool(options.interval)
    if options.kind == _SOCKETS:
        raise UsageError("--sort is for show processes, listeners, upstreams and clients")
    if options.kind == _CLIENTS:
        check_client_sort(options.sort, has_rates=has_rates)
    else:
        check_sort(options.kind, options.sort, has_rates=has_rates)


def _show_clients(options: ShowOptions, call: Call) -> None:
    """Print the clients of listeners, with --interval again and again."""
    clients = CollectedClients(
        ClientOptions(
            options.listener,
            options.collecting,
            _measuring(options),
            options.sort,
            options.json,
        )
    )
    if options.interval:
        monitor_clients(clients, options.interval, options.times)
    else:
        print_answer(options.collecting, call, partial(show_clients, clients))


def _check_protocols(options: ShowOptions) -> None:
    """Check the protocols that are asked for.

    Raises:
        UsageError: they are wrong, or don't go together with other options.
    """
    if options.protocol and options.kind != _SOCKETS:
        raise UsageError("--protocol is for show sockets")
    for protocol in options.protocol:
        if protocol not in _PROTOCOLS:
            known = ", ".join(_PROTOCOLS)
            raise UsageError(f"no protocol {protocol!r}: it is one of {known}")
    if UNIX in options.protocol and options.interval:
        raise UsageError("--interval is for tcp and udp sockets: unix sockets have no rates")


def _measuring(options: ShowOptions) -> Measuring:
    tcp_info = options.kind != _SOCKETS if options.tcp_info is None else options.tcp_info
    return Measuring(options.active_within, tcp_info, clients=False)


def _note_left_out(titles: Sequence[str]) -> None:
    """Write to stderr the titles of the columns that a table lacks."""
    if titles:
        sys.stderr.write(f"note: no room for {', '.join(titles)} (all of it: | less -S)\n")


def _document(options: ShowOptions, deadline: Deadline) -> Document:
    """Return the document that the rows of a list are taken from, without those of other lists."""
    snapshot, grouping = collected(options.collecting, deadline, _measuring(options), by_file=False)
    limits = NO_LIMITS._replace(**{name: 0 for name in LISTS if name != options.kind})
    return build_document(snapshot, limits, grouping, for_people=True)


def _show_rows(options: ShowOptions, deadline: Deadline) -> str:
    """Return a list of the document as a table, as JSON or as keys; write notes to stderr."""
    document = _document(options, deadline)
    kind, rows = options.kind, document.rows_of(options.kind)
    for note in notes_of(document, kind):
        sys.stderr.write(f"note: {note}\n")
    if options.json:
        return to_json(document.content()[kind]).decode() + "\n"
    if options.keys:
        return render_keys(rows)
    rows = in_order(kind, rows, options.sort)
    style = style_of(sys.stdout)
    _note_left_out(omitted_columns(kind, rows, style))
    return render(kind, rows, style, options.collecting.group_by)


def _monitor(options: ShowOptions, interval: float) -> None:
    """Print a list of the document, or single sockets, again and again, and what has changed."""
    sockets = SingleSockets(options)

    def take_sockets() -> tuple[list[Socket], Sequence[str]]:
        found, sockets.notes = take_in_turn(
            options.collecting.timeout, lambda deadline: (sockets.take(deadline), sockets.notes)
        )
        return found, sockets.notes

    def take_rows() -> tuple[Document, list[str]]:
        document = take_in_turn(options.collecting.timeout, partial(_document, options))
        notes = notes_of(document, options.kind)
        return document, notes if document.collector.totals else [*notes, UNCOUNTED]

    if options.kind == _SOCKETS:
        monitor.run(take_sockets, SocketChanges, interval, options.times, as_json=options.json)
        return
    choice = AskedTable(options.kind, options.collecting.group_by, options.sort)
    changes = partial(RowChanges, choice)
    monitor.run(take_rows, changes, interval, options.times, as_json=options.json)


def _show_sockets(options: ShowOptions, deadline: Deadline) -> str:
    """Return single sockets as a table or as JSON; write notes to stderr."""
    collecting = SingleSockets(options)
    sockets, unix_sockets = collecting.take(deadline), collecting.take_unix(deadline)
    for note in collecting.notes:
        sys.stderr.write(f"note: {note}\n")
    if not sockets and not unix_sockets:
        fits = " that fit the filter" if options.collecting.filter else ""
        sys.stderr.write(f"note: no sockets{fits} to show\n")
    rows = [ShownSocket(each) for each in sorted(sockets, key=socket_order)]
    rows += [ShownSocket(each) for each in sorted(unix_sockets, key=unix_socket_order)]
    if options.json:
        return to_json([socket_json(row) for row in rows]).decode() + "\n"
    style = style_of(sys.stdout)
    _note_left_out(omitted_socket_columns(rows, style))
    return render_sockets(rows, style)


class SingleSockets:
    """The sockets that the options ask for, collected once or again.

    *notes* are those for people on what can't be seen.
    """

    def __init__(self, options: ShowOptions) -> None:
        self._options = options
        self._measuring = _measuring(options)
        self.notes: tuple[str, ...] = ()
        kinds = filter_kinds(options.collecting)
        self._states = options.state or (("all",) if "state" in kinds else ())
        self._netns = ALL_NETNS if "netns" in kinds else OWN

    def take(self, deadline: Deadline) -> list[Socket]:
        """Return the sockets in the states that the options name, collected by *deadline*.

        Raises:
            SocketsError: the sockets can't be collected, or a list of them would be incomplete.
        """
        protocols = self._options.protocol or PROTOCOLS
        if not set(protocols) - {UNIX}:
            return []
        query = self._query(deadline)
        found = self._all_of(iter_sockets, query, deadline)
        sockets = [each for each in found if each.protocol in protocols]
        if query.tcp_info and sockets and not any(each.cookie for each in sockets):
            self._note("no tcp_info: the sockets are read from /proc/net")
        return [each for each in sockets if wants_state(each, self._states)]

    def take_unix(self, deadline: Deadline) -> list[UnixSocket]:
        """Return the unix sockets likewise, if the options name them.

        Raises:
            SocketsError: as take().
        """
        if UNIX not in self._options.protocol:
            return []
        from zabbix_sockets.collector.single_unix import iter_unix_sockets  # noqa: PLC0415  # not for other protocols

        query = self._query(deadline)._replace(tcp_info=False)
        sockets = self._all_of(iter_unix_sockets, query, deadline)
        return [each for each in sockets if wants_state(each, self._states)]

    def _query(self, deadline: Deadline) -> Query:
        asked = self._options.collecting, deadline, self._measuring
        return query_without_asker(*asked, netns=self._netns)

    def _all_of(
        self,
        read: Callable[[Query, TellVisibility], Iterator[S]],
        query: Query,
        deadline: Deadline,
    ) -> list[S]:
        """Return all that *read* yields of a query; note what it lacked.

        Raises:
            SocketsError: as *read* does.
        """
        told: list[Visibility] = []
        try:
            sockets = list(read(query, told.append))
        except DeadlineError:
            deadline.check()  # its message has the caller's seconds, not those that were left
            raise
        for visibility in told:
            for warning in visibility.warnings:
                self._note(warning)
            if visibility.degraded and any(not each.owners and each.inode for each in sockets):
                self._note(f"not all owners are seen: {visibility.reason}")
        return sockets

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes = (*self.notes, note)
