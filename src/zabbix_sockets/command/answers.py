"""What each verb that answers does: collect, then print one answer.

What a verb needs is imported when the kernel is already at work for it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from zabbix_sockets.collector.asking import asking_processes
from zabbix_sockets.collector.iterator.early_read import read_pinned
from zabbix_sockets.command.lock import Lock, one_at_a_time
from zabbix_sockets.command.supervisor import GRACE, Answer, answer_within
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Grouping
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import UsageError
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, Query, Snapshot
from zabbix_sockets.model.socket import Socket

CONFIG = "/etc/zabbix/zabbix-sockets.toml"
"""The configuration file, if there is one."""

_PATIENCE = 30.0
"""Seconds that a single document to send waits for other calls of the same user; a service waits
half of its timeout, and tries again."""


def _query(options: Any, deadline: Deadline, netns: str = ALL_NETNS) -> Query:
    """Return the query, with the time that is left; *netns* is the default."""
    return Query(
        options.source,
        deadline.remaining(),
        pins=options.pins,
        netns=options.netns or netns,
        filter=options.filter or "",
        tcp_info=options.tcp_info,
        active_within=options.active_within,
        left_out=asking_processes(),
    )


def _answer(options: Any, make: Callable[[Deadline], str]) -> None:
    """Print what *make* returns in time, as the only one of this user.

    An agent's question may be answered by what another call of the same question was told, if
    that was begun later than this one.

    Raises:
        BusyError: others had their turn until no time was left.
    """
    deadline = Deadline(options.timeout, options.started)
    lock: Lock = options.lock or Lock()
    with lock.held(deadline, options.question) as turn:
        answer = turn.answer
        if answer is None:
            answer = make(deadline)
            turn.leave(answer)
    sys.stdout.write(answer)


def _collect(options: Any, deadline: Deadline) -> tuple[Snapshot, Grouping]:
    query = _query(options, deadline)
    ahead = None if query.filter else read_pinned(query, Deadline(query.timeout))
    with ahead or nullcontext():
        from zabbix_sockets.collector.collect import collect  # noqa: PLC0415  # after the reading began

        grouping, expression = _configured(options)
        query = query._replace(needs=grouping.needs, filter=expression)
        snapshot = collect(query, _import_report, None if expression else ahead)
        return snapshot, grouping


def _check_filter(options: Any) -> None:
    """Raise UsageError if the expression is wrong."""
    if options.filter:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few calls have one

        parse(options.filter)


def _configured(options: Any) -> tuple[Grouping, str]:
    """Return the grouping and the filter: the arguments', else those of the configuration file.

    Raises:
        SocketsError: the file has errors.
    """
    grouping, expression = GROUPINGS[options.group_by], options.filter
    unfiltered = expression is not None or options.run is show
    path = options.config or CONFIG
    if not (options.config or os.path.exists(path)):
        return grouping, expression or ""
    has_rules = grouping.name == DEFAULT_GROUPING
    if unfiltered and not has_rules:
        return grouping, expression or ""
    from zabbix_sockets.configuration import load  # noqa: PLC0415  # hosts with a file

    configuration = load(path, required=bool(options.config), rules=has_rules)
    if not unfiltered:
        expression = configuration.filter
    if configuration.groups and has_rules:
        from zabbix_sockets.grouping.by_rules import by_rules  # noqa: PLC0415  # hosts with a file

        grouping = by_rules(configuration.groups)
    return grouping, expression or ""


def _import_report() -> None:
    import zabbix_sockets.document.document  # noqa: F401, PLC0415  # once the kernel is at work


def _json(value: object) -> str:
    from zabbix_sockets.document.record import to_json  # noqa: PLC0415  # once the kernel is at work

    return to_json(value).decode() + "\n"


def get(options: Any) -> None:
    """Print the document."""
    if options.grouping:
        if options.grouping not in GROUPINGS:
            choices = ", ".join(GROUPINGS)
            raise UsageError(f"no grouping {options.grouping!r}: it is one of {choices}")
        options.group_by = options.grouping
    _check_filter(options)
    _answer(options, lambda deadline: _document(options, deadline))


def _document(options: Any, deadline: Deadline) -> str:
    """Collect, and return the document within the bounds that the caller set, as JSON."""
    snapshot, grouping = _collect(options, deadline)
    from zabbix_sockets.document.document import Limits, build_document  # noqa: PLC0415  # once the kernel is at work

    return _json(build_document(snapshot, Limits(max_bytes=options.max_bytes), grouping))


def discover(options: Any) -> None:
    """Print the LLD rows of one list."""

    def make(deadline: Deadline) -> str:
        snapshot, grouping = _collect(options, deadline)
        from zabbix_sockets.document.discovery import discovery  # noqa: PLC0415  # get does without
        from zabbix_sockets.document.document import ROWS, Limits, build_document  # noqa: PLC0415  # once the kernel is at work

        document = build_document(snapshot, Limits(max_bytes=options.max_bytes), grouping)
        return _json(discovery(ROWS[options.kind], document.rows_of(options.kind)))

    _check_filter(options)
    _answer(options, make)


def count(options: Any) -> None:
    """Print one number."""
    from zabbix_sockets.document import count as counting  # noqa: PLC0415  # get does without

    question = options.process, options.protocol, options.state
    counting.check_arguments(*question)
    _check_filter(options)

    def make(deadline: Deadline) -> str:
        snapshot, grouping = _collect(options, deadline)
        return f"{counting.count(snapshot, *question, grouping)}\n"

    _answer(options, make)


def show(options: Any) -> None:
    """Print a table, or the same rows as JSON."""
    if options.keys and (options.kind, options.group_by) != ("processes", DEFAULT_GROUPING):
        raise UsageError("--keys is for show processes, and not for other groupings")
    if options.tcp_info is None:
        options.tcp_info = options.kind != "sockets"
    if options.interval or options.count:
        _monitor(options)
        return
    _check_shown(options)
    make = _show_sockets if options.kind == "sockets" else _show_rows
    _answer(options, lambda deadline: make(options, deadline))


def _note_left_out(titles: Sequence[str]) -> None:
    """Say which columns a table lacks."""
    if titles:
        sys.stderr.write(f"note: no room for {', '.join(titles)} (all of it: | less -S)\n")


def _check_shown(options: Any) -> None:
    """Raise UsageError for what can't be shown together."""
    from zabbix_sockets.terminal.sockets import check_states  # noqa: PLC0415  # for people only

    if options.state and options.kind != "sockets":
        raise UsageError("--state is for show sockets")
    check_states(options.state)
    _check_filter(options)


def _show_rows(options: Any, deadline: Deadline) -> str:
    """Return a list of the document as a table, as JSON or as keys; say what it lacks."""
    snapshot, grouping = _collect(options, deadline)
    from zabbix_sockets.document.document import NO_LIMITS, build_document  # noqa: PLC0415  # once the kernel is at work
    from zabbix_sockets.terminal.layout import style_of  # noqa: PLC0415  # for people only
    from zabbix_sockets.terminal.tables import left_out, notes_of, render, render_keys  # noqa: PLC0415  # for people only

    document = build_document(snapshot, NO_LIMITS, grouping, for_people=True)
    kind, rows = options.kind, document.rows_of(options.kind)
    for note in notes_of(document, kind):
        sys.stderr.write(f"note: {note}\n")
    if options.json:
        return _json(document.content()[kind])
    if options.keys:
        return render_keys(rows)
    style = style_of(sys.stdout)
    _note_left_out(left_out(kind, rows, style))
    return render(kind, rows, style, options.group_by)


def _monitor(options: Any) -> None:
    """Print the sockets again and again, and what has changed."""
    if options.kind != "sockets" or not options.interval:
        raise UsageError("--interval is for show sockets, --count for --interval")
    from zabbix_sockets.terminal import monitor  # noqa: PLC0415  # for people only

    _check_shown(options)

    def take() -> list[Socket]:
        deadline = Deadline(options.timeout)
        with one_at_a_time(deadline):
            return _sockets(options, deadline)

    monitor.run(take, options.interval, options.count, as_json=options.json)


def _show_sockets(options: Any, deadline: Deadline) -> str:
    """Return single sockets as a table or as JSON."""
    from zabbix_sockets.terminal.layout import style_of  # noqa: PLC0415  # for people only
    from zabbix_sockets.terminal.sockets import (  # noqa: PLC0415  # for people only
        left_out_of_sockets,
        render_sockets,
        socket_json,
        socket_order,
    )

    sockets = _sockets(options, deadline)
    if not sockets:
        fits = " that fit the filter" if options.filter else ""
        sys.stderr.write(f"note: no sockets{fits} to show\n")
    rows = [socket_json(each) for each in sorted(sockets, key=socket_order)]
    if options.json:
        return _json(rows)
    style = style_of(sys.stdout)
    _note_left_out(left_out_of_sockets(rows, style))
    return render_sockets(rows, style)


def _sockets(options: Any, deadline: Deadline) -> list[Socket]:
    """Return the sockets in the states that are wanted; say what they lack."""
    from zabbix_sockets.collector.single import (  # noqa: PLC0415  # once the kernel is at work
        iter_sockets,
        why_without_owners,
    )
    from zabbix_sockets.terminal.sockets import wants_state  # noqa: PLC0415  # for people only

    states, netns = options.state, OWN
    if options.filter:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few calls have one

        kinds = parse(options.filter).kinds
        states = states or (["all"] if "state" in kinds else [])
        netns = ALL_NETNS if "netns" in kinds else OWN
    query = _query(options, deadline, netns)
    sockets = list(iter_sockets(query))
    if options.tcp_info and sockets and not any(each.cookie for each in sockets):
        sys.stderr.write("note: no tcp_info: the sockets are read from /proc/net\n")
        options.tcp_info = False  # it is said once
    if not options.told and any(not each.owners and each.inode for each in sockets):
        options.told = True
        why = why_without_owners(query)
        if why:
            sys.stderr.write(f"note: not all owners are seen: {why}\n")
    return [each for each in sockets if wants_state(each, states)]


def send(options: Any) -> None:
    """Push the document, once or at every interval."""
    from zabbix_sockets.sending import command  # noqa: PLC0415  # subprocess, sqlite

    _check_filter(options)
    command.send(options, lambda: _document_to_send(options))


def _document_to_send(options: Any) -> str:
    """Return a document made in a child: a service that stays collects no garbage of a hundred.

    Raises:
        SocketsError: as _answer(); but others are waited for, which no agent waits for.
    """
    patience = options.timeout / 2 if options.interval else _PATIENCE
    with Lock() as lock, lock.held(Deadline(patience)):
        deadline = Deadline(options.timeout)
        answer = answer_within(
            options.timeout + GRACE,
            lambda: Answer(_document(options, deadline)),
            close=lock.fd,
        )
    return answer.text
