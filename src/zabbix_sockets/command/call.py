"""One call of a verb that collects: the steps from its options to its answer.

The verb's function makes the text of a Snapshot; this module has the steps that all verbs share:
the user's lock and the answers that calls share (lock), the configuration file, the query, the
plan, and the collection. The process that waits meanwhile, and ends in time, is supervisor's. That
one, lock and agent_call are modules of their own, since what the waiting process imports is copied
for its child; and so is early_read, since it begins before there are options.
"""

import os
import sys
from _collections_abc import Callable

from zabbix_sockets.collector.record_reader import RecordReader
from zabbix_sockets.command.lock import Lock
from zabbix_sockets.command.options import NOT_MEASURING, Collecting, Measuring
from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, GROUPINGS, Grouping
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.light_typing import NamedTuple, Optional
from zabbix_sockets.model.paths import CONFIG
from zabbix_sockets.model.snapshot import ALL_NETNS, Query, Snapshot


class Call(NamedTuple):
    """The circumstances of a call, besides its options.

    Attributes:
        lock: the user's lock, which the waiting parent has open, too; None: this process opens it.
        started: the moment of the monotonic clock since which the caller waits; None: now.
        question: the arguments of an agent's call, which may share its answer with calls of equal
            arguments; empty: it shares none.
        reader: the records of all sockets, which are being read (early_read); None: not yet.
    """

    lock: Optional[Lock] = None
    started: Optional[float] = None
    question: tuple[str, ...] = ()
    reader: Optional[RecordReader] = None


def print_answer(options: Collecting, call: Call, make: Callable[[Deadline], str]) -> None:
    """Take the user's lock, and print what *make* returns until the deadline.

    An agent's call prints instead the answer that another call has shared for the same question, if
    that one began to make it after this one had asked: *make* isn't called then.

    Raises:
        BusyError: others had their turn until no time was left.
    """
    deadline = Deadline(options.timeout, call.started)
    lock = call.lock or Lock()
    with lock.held(deadline, call.question) as turn:
        answer = turn.answer
        if answer is None:
            answer = make(deadline)
            turn.share(answer)
    sys.stdout.write(answer)


def with_filter(options: Collecting) -> Collecting:
    """Return the options with their filter parsed, so that it is parsed only once.

    Raises:
        UsageError: the filter's expression is wrong.
    """
    if not options.filter:
        return options
    from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # takes 2 ms, and few calls have a filter

    return options._replace(filter=parse(options.filter))


def filter_kinds(options: Collecting) -> frozenset[str]:
    """Return the kinds of the conditions of their filter, such as `state` or `netns`.

    Raises:
        UsageError: the filter's expression is wrong.
    """
    if not options.filter:
        return frozenset()
    from zabbix_sockets.filters.parser import parse  # noqa: PLC0415  # as above

    return parse(options.filter).kinds


def query_of(
    options: Collecting,
    deadline: Deadline,
    measuring: Measuring = NOT_MEASURING,
    *,
    netns: str = ALL_NETNS,
    needs: frozenset[str] = frozenset(),
) -> Query:
    """Return the query of a verb's options, with the time until *deadline* as its timeout.

    *netns* is used if the options name no namespace; *needs* are the fields of processes that the
    grouping looks at. Who asks is not excluded yet.
    """
    return Query(
        options.source,
        deadline.remaining(),
        pins=options.pins,
        netns=options.netns or netns,
        needs=needs,
        filter=options.filter or "",
        tcp_info=measuring.tcp_info,
        active_within=measuring.active_within,
        clients=bool(measuring.clients),
    )


def query_without_asker(
    options: Collecting,
    deadline: Deadline,
    measuring: Measuring = NOT_MEASURING,
    *,
    netns: str = ALL_NETNS,
) -> Query:
    """Return the query of a verb's options, as query_of(), for the sockets of all but who asks."""
    from zabbix_sockets.collector.requesters import requesting_processes  # noqa: PLC0415  # late in an agent's call

    query = query_of(options, deadline, measuring, netns=netns)
    return query._replace(excluded_pids=requesting_processes())


def collected(
    options: Collecting,
    deadline: Deadline,
    measuring: Measuring = NOT_MEASURING,
    *,
    by_file: bool = True,
    addresses: bool = False,
    reader: Optional[RecordReader] = None,
) -> tuple[Snapshot, Grouping]:
    """Return a Snapshot, collected by *deadline*, and the grouping for its owners.

    *by_file*: the filter of the configuration file is used if the options have none; what it says
    of clients is if *measuring* says nothing. *addresses*: the host's own are collected. *reader*:
    the records that the call has begun to read; None: they are read as soon as there is a plan.

    Raises:
        SocketsError: nothing can be collected as the options say, or the configuration file has
            errors.
    """
    grouping, expression, clients = _configured(options, measuring.clients, by_file=by_file)
    options = options._replace(filter=expression)
    measuring = measuring._replace(clients=clients)
    query = query_of(options, deadline, measuring, needs=grouping.needs)
    query = query._replace(addresses=addresses)
    from zabbix_sockets.collector.sources import choose  # noqa: PLC0415  # after the lock and the arguments

    with choose(query) as plan:
        plan.begin(query, reader)
        # What follows is done while the kernel is at work, these imports too.
        import zabbix_sockets.command.admitted  # noqa: PLC0415  # as said above
        import zabbix_sockets.document.document  # noqa: PLC0415  # as said above
        from zabbix_sockets.collector.collect import collect  # noqa: PLC0415  # as said above
        from zabbix_sockets.collector.requesters import requesting_processes  # noqa: PLC0415  # as said above

        del zabbix_sockets  # imported only to be loaded
        return collect(query._replace(excluded_pids=requesting_processes()), plan), grouping


def _configured(
    options: Collecting, clients: Optional[bool], *, by_file: bool
) -> tuple[Grouping, str, bool]:
    """Return the options' grouping and filter, and *clients*, completed by the configuration file.

    Rules of the file apply to the grouping by process; with *by_file* its filter does if the
    options have none. *clients* is whether clients are counted; None: as the file says.

    Raises:
        SocketsError: the file has errors.
    """
    grouping, expression = GROUPINGS[options.group_by], options.filter
    by_file = by_file and expression is None
    has_rules = grouping.name == DEFAULT_GROUPING
    path = options.config or CONFIG
    may_need = has_rules or by_file or clients is None
    if not may_need or not (options.config or os.path.exists(path)):
        return grouping, expression or "", bool(clients)
    from zabbix_sockets.configuration import load  # noqa: PLC0415  # takes 1 ms, and most hosts have no such file

    configuration = load(path, required=bool(options.config), rules=has_rules)
    if by_file:
        expression = configuration.filter
    if configuration.groups and has_rules:
        from zabbix_sockets.grouping.by_rules import by_rules  # noqa: PLC0415  # for files with rules alone

        grouping = by_rules(configuration.groups)
    return grouping, expression or "", configuration.clients if clients is None else clients
