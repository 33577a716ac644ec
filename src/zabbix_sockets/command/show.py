"""The verb show, for people: a table of a list of the document, or of single sockets."""

import sys
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from zabbix_sockets.collector.asking import asking_processes
from zabbix_sockets.collector.single import iter_sockets, why_without_owners
from zabbix_sockets.command.call import Call, collected, print_answer, query_of, with_filter
from zabbix_sockets.command.lock import one_at_a_time
from zabbix_sockets.command.options import ACTIVE_WITHIN, Collecting, Measuring
from zabbix_sockets.document.document import NO_LIMITS, build_document
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, UsageError
from zabbix_sockets.model.option import Option, positive, seconds
from zabbix_sockets.model.snapshot import ALL_NETNS, LISTS, OWN
from zabbix_sockets.model.socket import Socket
from zabbix_sockets.terminal import monitor
from zabbix_sockets.terminal.layout import style_of
from zabbix_sockets.terminal.sockets import (
    check_states,
    omitted_socket_columns,
    render_sockets,
    socket_json,
    socket_order,
    wants_state,
)
from zabbix_sockets.terminal.tables import notes_of, omitted_columns, render, render_keys

_KINDS = (*LISTS, "sockets")


class ShowOptions(NamedTuple):
    """The options of `show`."""

    kind: Annotated[str, Option("", ", ".join(_KINDS), "KIND", choices=_KINDS)]
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
        bool | None,
        Option(
            "--tcp-info",
            "round-trip times and retransmissions of TCP connections (default: yes, but for"
            " sockets)",
            action="optional",
        ),
    ] = None
    interval: Annotated[
        float | None,
        Option(
            "--interval",
            "show sockets: print them at this interval, with rates and those new or gone",
            "SECONDS",
            seconds,
        ),
    ] = None
    times: Annotated[
        int | None, Option("--count", "with --interval: end after so many times", "N", positive)
    ] = None
    state: Annotated[
        tuple[str, ...],
        Option(
            "--state",
            "sockets in this state (repeatable; all: every one)",
            "STATE",
            action="append",
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
    repeated = options.interval or options.times
    if repeated and not (options.kind == "sockets" and options.interval):
        raise UsageError("--interval is for show sockets, --count for --interval")
    if options.state and options.kind != "sockets":
        raise UsageError("--state is for show sockets")
    check_states(options.state)
    options = options._replace(collecting=with_filter(options.collecting))
    if options.interval:
        _monitor(options, options.interval)
        return
    make = _show_sockets if options.kind == "sockets" else _show_rows
    print_answer(options.collecting, call, lambda deadline: make(options, deadline))


def _measuring(options: ShowOptions) -> Measuring:
    tcp_info = options.kind != "sockets" if options.tcp_info is None else options.tcp_info
    return Measuring(options.active_within, tcp_info)


def _note_left_out(titles: Sequence[str]) -> None:
    """Write to stderr the titles of the columns that a table lacks."""
    if titles:
        sys.stderr.write(f"note: no room for {', '.join(titles)} (all of it: | less -S)\n")


def _show_rows(options: ShowOptions, deadline: Deadline) -> str:
    """Return a list of the document as a table, as JSON or as keys; write notes to stderr."""
    snapshot, grouping = collected(options.collecting, deadline, _measuring(options), by_file=False)
    document = build_document(snapshot, NO_LIMITS, grouping, for_people=True)
    kind, rows = options.kind, document.rows_of(options.kind)
    for note in notes_of(document, kind):
        sys.stderr.write(f"note: {note}\n")
    if options.json:
        return to_json(document.content()[kind]).decode() + "\n"
    if options.keys:
        return render_keys(rows)
    style = style_of(sys.stdout)
    _note_left_out(omitted_columns(kind, rows, style))
    return render(kind, rows, style, options.collecting.group_by)


def _monitor(options: ShowOptions, interval: float) -> None:
    """Print the sockets again and again, and what has changed."""
    sockets = SingleSockets(options)

    def take() -> list[Socket]:
        deadline = Deadline(options.collecting.timeout)
        with one_at_a_time(deadline):
            return sockets.take(deadline)

    monitor.run(take, interval, options.times, as_json=options.json)


def _show_sockets(options: ShowOptions, deadline: Deadline) -> str:
    """Return single sockets as a table or as JSON."""
    sockets = SingleSockets(options).take(deadline)
    if not sockets:
        fits = " that fit the filter" if options.collecting.filter else ""
        sys.stderr.write(f"note: no sockets{fits} to show\n")
    rows = [socket_json(each) for each in sorted(sockets, key=socket_order)]
    if options.json:
        return to_json(rows).decode() + "\n"
    style = style_of(sys.stdout)
    _note_left_out(omitted_socket_columns(rows, style))
    return render_sockets(rows, style)


class SingleSockets:
    """The sockets that the options ask for, collected once or again; notes are written once."""

    def __init__(self, options: ShowOptions) -> None:
        self._options = options
        self._measuring = _measuring(options)
        self._written: set[str] = set()
        kinds = frozenset[str]()
        if options.collecting.filter:
            from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # takes 2 ms, and few calls have a filter

            kinds = parse(options.collecting.filter).kinds
        self._states = options.state or (("all",) if "state" in kinds else ())
        self._netns = ALL_NETNS if "netns" in kinds else OWN

    def take(self, deadline: Deadline) -> list[Socket]:
        """Return the sockets in the states that the options name, collected by *deadline*.

        Raises:
            SocketsError: the sockets can't be collected, or a list of them would be incomplete.
        """
        query = query_of(self._options.collecting, deadline, self._measuring, netns=self._netns)
        query = query._replace(excluded_pids=asking_processes())
        try:
            sockets = list(iter_sockets(query))
        except DeadlineError:
            deadline.check()  # its message has the caller's seconds, not those that were left
            raise
        if query.tcp_info and sockets and not any(each.cookie for each in sockets):
            self._note("no tcp_info: the sockets are read from /proc/net")
        if "owners" not in self._written and any(
            not each.owners and each.inode for each in sockets
        ):
            self._written.add("owners")
            why = why_without_owners(query)
            if why:
                self._note(f"not all owners are seen: {why}")
        return [each for each in sockets if wants_state(each, self._states)]

    def _note(self, note: str) -> None:
        if note not in self._written:
            self._written.add(note)
            sys.stderr.write(f"note: {note}\n")
