"""What each verb does: collect, then print one answer.

What a verb needs is imported when the kernel is already at work for it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

from zabbix_sockets.collector.ahead import read_pinned
from zabbix_sockets.collector.asking import asking_processes
from zabbix_sockets.deadline import Deadline, interrupting
from zabbix_sockets.errors import (
    DeadlineError,
    DumpInterruptedError,
    SocketsError,
    UsageError,
)
from zabbix_sockets.groups import DEFAULT_GROUPING, GROUPINGS, Grouping
from zabbix_sockets.lock import one_at_a_time
from zabbix_sockets.model import ALL_NETNS, OWN, Query, Snapshot
from zabbix_sockets.rows import ABSENT_ID, JsonRow
from zabbix_sockets.sockets import Socket

CONFIG = "/etc/zabbix/zabbix-sockets.toml"
"""The configuration file, if there is one."""

_WAIT_SHARE = 0.5
"""How much of the timeout may go by in waiting for another call."""

_GRACE = 0.2
"""Seconds past the timeout after which a call that hangs ends itself: in the kernel, in an
expression of a rule, at a file of the configuration."""

_ATTEMPTS = 4

Row = TypeVar("Row")


@contextmanager
def _snapshot_time(options: argparse.Namespace, netns: str = ALL_NETNS) -> Iterator[Query]:
    """Yield the query, with the time that is left of the timeout, as the only one running.

    *netns* is the default.
    """
    deadline = Deadline(options.timeout)
    with one_at_a_time(deadline.part(_WAIT_SHARE)):
        yield Query(
            options.source,
            deadline.remaining(),
            pins=options.pins,
            netns=options.netns or netns,
            filter=options.filter or "",
            tcp_info=options.tcp_info,
            active_within=options.active_within,
            left_out=asking_processes(),
        )


def _watchdog(timeout: float) -> AbstractContextManager[None]:
    """Return what raises DeadlineError a moment after the timeout."""
    error = DeadlineError(f"timed out after {timeout:g} s: something hung")
    return interrupting(timeout + _GRACE, error)


def _collect(options: argparse.Namespace) -> tuple[Snapshot, Grouping]:
    _check_filter(options)
    with _snapshot_time(options) as query:
        ahead = None if query.filter else read_pinned(query, Deadline(query.timeout))
        with ahead or nullcontext():
            from zabbix_sockets.collector.snapshot import collect  # noqa: PLC0415  # see above

            grouping, expression = _configured(options)
            query = query._replace(needs=grouping.needs, filter=expression)  # noqa: PLW2901
            snapshot = collect(query, _import_report, None if expression else ahead)
            return snapshot, grouping


def _check_filter(options: argparse.Namespace) -> None:
    """Raise UsageError if the expression is wrong."""
    if options.filter:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few calls have one

        parse(options.filter)


def _configured(options: argparse.Namespace) -> tuple[Grouping, str]:
    """Return the grouping and the filter: the arguments', else those of the configuration file.

    Raises:
        SocketsError: the file has errors.
    """
    grouping, expression = GROUPINGS[options.group_by], options.filter
    unfiltered = expression is not None or options.run is show
    path = options.config or CONFIG
    if not (options.config or os.path.exists(path)):
        return grouping, expression or ""
    if grouping.name != DEFAULT_GROUPING and (unfiltered or not _may_have_filter(path)):
        return grouping, expression or ""
    from zabbix_sockets.configuration import load  # noqa: PLC0415  # hosts with a file

    configuration = load(path, required=bool(options.config))
    if not unfiltered:
        expression = configuration.filter
    if configuration.groups and grouping.name == DEFAULT_GROUPING:
        from zabbix_sockets.ruled import by_rules  # noqa: PLC0415  # the same

        grouping = by_rules(configuration.groups)
    return grouping, expression or ""


def _may_have_filter(path: str) -> bool:
    """Whether a configuration file has to be read whole; for rules alone it need not be."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it will say why not
    return b"filter" in text or b"\\" in text  # a key may be written with escapes


def _import_report() -> None:
    import zabbix_sockets.report  # noqa: F401, PLC0415  # see above


def _print_json(value: object) -> None:
    import orjson  # noqa: PLC0415  # see above

    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def get(options: argparse.Namespace) -> None:
    """Print the document."""
    if options.grouping:
        if options.grouping not in GROUPINGS:
            choices = ", ".join(GROUPINGS)
            raise UsageError(f"no grouping {options.grouping!r}: it is one of {choices}")
        options.group_by = options.grouping
    _print_json(_document(options))


def _document(options: argparse.Namespace) -> JsonRow:
    """Collect, and return the document within the bounds that the caller set."""
    with _watchdog(options.timeout):
        snapshot, grouping = _collect(options)
        from zabbix_sockets.report import Limits, build_document  # noqa: PLC0415  # see above

        return build_document(snapshot, Limits(max_bytes=options.max_bytes), grouping)


def discover(options: argparse.Namespace) -> None:
    """Print the LLD rows of one list."""
    from zabbix_sockets.discovery import discovery  # noqa: PLC0415  # get does without

    _print_json(discovery(_document(options), options.kind))


def count(options: argparse.Namespace) -> None:
    """Print one number."""
    from zabbix_sockets import counting  # noqa: PLC0415  # get does without

    counting.check_arguments(options.process, options.protocol, options.state)
    question = options.process, options.protocol, options.state
    with _watchdog(options.timeout):
        snapshot, grouping = _collect(options)
        number = counting.count(snapshot, *question, grouping)
    sys.stdout.write(f"{number}\n")


def show(options: argparse.Namespace) -> None:
    """Print a table, or the same rows as JSON."""
    from zabbix_sockets.show import render  # noqa: PLC0415  # for people only
    from zabbix_sockets.table import style_of  # noqa: PLC0415  # the same

    if options.tcp_info is None:
        options.tcp_info = options.kind != "sockets"
    if options.interval or options.count:
        _monitor(options)
        return
    rows = _socket_rows(options) if options.kind == "sockets" else _document_rows(options)
    if options.json:
        _print_json(rows)
    else:
        style = style_of(sys.stdout)
        sys.stdout.write(render(options.kind, rows, style, options.group_by))
        if all(row.get("id") == ABSENT_ID for row in rows):
            sys.stderr.write(f"note: no {options.kind} to show\n")


def _document_rows(options: argparse.Namespace) -> list[JsonRow]:
    if options.state:
        raise UsageError("--state is for show sockets")
    from zabbix_sockets.report import NO_LIMITS, build_document  # noqa: PLC0415  # see above

    with _watchdog(options.timeout):
        snapshot, grouping = _collect(options)
        document = build_document(snapshot, NO_LIMITS, grouping, for_people=True)
    collector = document["collector"]
    assert isinstance(collector, dict)
    for warning in collector["warnings"]:
        sys.stderr.write(f"note: {warning}\n")
    rows = document[options.kind]
    assert isinstance(rows, list)
    return rows


def _monitor(options: argparse.Namespace) -> None:
    """Print the sockets again and again, and what has changed."""
    if options.kind != "sockets" or not options.interval:
        raise UsageError("--interval is for show sockets, --count for --interval")
    from zabbix_sockets import monitor  # noqa: PLC0415  # for people only

    monitor.run(lambda: _sockets(options), options.interval, options.count, as_json=options.json)


def _socket_rows(options: argparse.Namespace) -> list[JsonRow]:
    from zabbix_sockets.show import socket_json, socket_order  # noqa: PLC0415  # for people only

    return [socket_json(each) for each in sorted(_sockets(options), key=socket_order)]


def _sockets(options: argparse.Namespace) -> list[Socket]:
    """Return the sockets in the states that are wanted."""
    from zabbix_sockets.collector.stream import iter_sockets  # noqa: PLC0415  # see above
    from zabbix_sockets.show import check_states, wants_state  # noqa: PLC0415  # for people only

    check_states(options.state)
    states, netns = options.state, OWN
    if options.filter:
        from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # few calls have one

        kinds = parse(options.filter).kinds
        states = states or (["all"] if "state" in kinds else [])
        netns = ALL_NETNS if "netns" in kinds else OWN
    with _watchdog(options.timeout), _snapshot_time(options, netns) as query:
        sockets = _whole(lambda: list(iter_sockets(query)))
    if options.tcp_info and sockets and not any(each.cookie for each in sockets):
        sys.stderr.write("note: no tcp_info: the sockets are read from /proc/net\n")
        options.tcp_info = False  # it is said once
    return [each for each in sockets if wants_state(each, states)]


def _whole(read: Callable[[], list[Row]]) -> list[Row]:
    """Return what *read* does as soon as no table changed too much while it was read."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except DumpInterruptedError:
            continue
    return read()


def send(options: argparse.Namespace) -> None:
    """Push the document, once or at every interval."""
    from zabbix_sockets.sending import command  # noqa: PLC0415  # subprocess, sqlite

    _check_filter(options)
    command.send(options, lambda: _document(options))


def provision(options: argparse.Namespace) -> None:
    """Import the templates through the API.

    Raises:
        SocketsError: the extra is not installed, or what went wrong.
    """
    try:
        from zabbix_sockets.provision import command  # noqa: PLC0415  # pyzabbix
    except ImportError as error:
        package = (error.name or "pyzabbix").partition(".")[0]
        hint = "pip install 'zabbix-sockets[provision]'"
        raise SocketsError(f"provision needs {package}", hint) from None
    command.provision(options)


def load(options: argparse.Namespace) -> None:
    """Pin the BPF iterators."""
    from zabbix_sockets import pins  # noqa: PLC0415  # ctypes

    for path in pins.load(options.pins):
        sys.stdout.write(f"loaded {path}, readable by group {pins.GROUP}\n")


def unload(options: argparse.Namespace) -> None:
    """Unpin the BPF iterators."""
    from zabbix_sockets import pins  # noqa: PLC0415  # ctypes

    for path in pins.unload(options.pins):
        sys.stdout.write(f"unloaded {path}\n")


def files(_options: argparse.Namespace) -> None:
    """Print the folder of the files to copy: conf/ and zabbix_templates/."""
    sys.stdout.write(os.path.join(os.path.dirname(os.path.abspath(__file__)), "share") + "\n")
