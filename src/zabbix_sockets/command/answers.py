"""The verbs of agents: get, discover and count."""

from zabbix_sockets.command.call import Call, collected, print_answer, with_filter
from zabbix_sockets.command.options import CountOptions, DiscoverOptions, GetOptions
from zabbix_sockets.grouping.grouping import GROUPINGS
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import UsageError


def get(options: GetOptions, call: Call) -> None:
    """Print the document as one line of JSON.

    Raises:
        SocketsError: the options are wrong, or there is no answer in time.
    """
    collecting = options.collecting
    if options.grouping:
        if options.grouping not in GROUPINGS:
            choices = ", ".join(GROUPINGS)
            raise UsageError(f"no grouping {options.grouping!r}: it is one of {choices}")
        collecting = collecting._replace(group_by=options.grouping)
    if options.namespace:
        collecting = collecting._replace(netns=options.namespace)
    collecting = with_filter(collecting)

    def make(deadline: Deadline) -> str:
        snapshot, grouping = collected(
            collecting, deadline, options.measuring, addresses=True, reader=call.reader
        )
        from zabbix_sockets.command.admitted import admission_of  # noqa: PLC0415  # as the next one
        from zabbix_sockets.document.document import Limits, document_json  # noqa: PLC0415  # collected() has it imported at a better time

        limits = Limits(max_bytes=options.bounds.max_bytes)
        admission = admission_of(snapshot, grouping, deadline)
        return document_json(snapshot, limits, grouping, admission).decode() + "\n"

    print_answer(collecting, call, make)


def discover(options: DiscoverOptions, call: Call) -> None:
    """Print the LLD objects of one list as one line of JSON.

    Raises:
        SocketsError: the options are wrong, or there is no answer in time.
    """
    collecting = with_filter(options.collecting)

    def make(deadline: Deadline) -> str:
        snapshot, grouping = collected(collecting, deadline, reader=call.reader)
        from zabbix_sockets.command.admitted import admission_of  # noqa: PLC0415  # as document is
        from zabbix_sockets.document.discovery import discovery  # noqa: PLC0415  # for this verb alone
        from zabbix_sockets.document.document import (  # noqa: PLC0415  # collected() has it imported at a better time
            ROWS,
            Limits,
            build_document,
        )
        from zabbix_sockets.document.json_text import to_json  # noqa: PLC0415  # as document is

        limits = Limits(max_bytes=options.bounds.max_bytes)
        admission = admission_of(snapshot, grouping, deadline)
        document = build_document(snapshot, limits, grouping, admission=admission)
        rows = discovery(ROWS[options.kind], document.rows_of(options.kind))
        return to_json(rows).decode() + "\n"

    print_answer(collecting, call, make)


def count(options: CountOptions, call: Call) -> None:
    """Print the number of sockets of the processes of one name.

    Raises:
        SocketsError: the options are wrong, the number can't be known, or there is no answer in
            time.
    """
    from zabbix_sockets.document import count as counting  # noqa: PLC0415  # for this verb alone

    question = options.process, options.protocol, options.state
    counting.check_arguments(*question)
    collecting = with_filter(options.collecting)

    def make(deadline: Deadline) -> str:
        snapshot, grouping = collected(collecting, deadline, reader=call.reader)
        return f"{counting.count(snapshot, *question, grouping)}\n"

    print_answer(collecting, call, make)
