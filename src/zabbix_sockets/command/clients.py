"""`show clients`: who has how many connections with a listener, once or again and again."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from zabbix_sockets.collector.single import iter_sockets
from zabbix_sockets.command.call import filter_kinds, query_without_asker
from zabbix_sockets.command.in_turn import take_in_turn
from zabbix_sockets.command.options import Collecting, Measuring
from zabbix_sockets.document.json_text import to_json
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.errors import DeadlineError, SocketsError
from zabbix_sockets.model.snapshot import ALL_NETNS, OWN, Visibility
from zabbix_sockets.terminal import monitor
from zabbix_sockets.terminal.client_changes import ClientChanges
from zabbix_sockets.terminal.clients import (
    Client,
    ClientKey,
    ClientsByAddress,
    Wanted,
    client_json,
    client_rows,
    clients_in_order,
    omitted_client_columns,
    parse_listener,
    render_clients,
)
from zabbix_sockets.terminal.layout import style_of


class ClientOptions(NamedTuple):
    """The options of `show` that tell which clients are shown, and how.

    Attributes:
        listener: the listener, as parse_listener() takes it; empty: all.
        collecting: the options for the sockets.
        measuring: whether round-trip times and bytes are asked for.
        sort: the column that rows go by; empty: most connections first.
        json: JSON is printed, not a table.
    """

    listener: str
    collecting: Collecting
    measuring: Measuring
    sort: str
    json: bool


def show_clients(clients: CollectedClients, deadline: Deadline) -> str:
    """Return the clients as a table or as JSON; write notes to stderr.

    Raises:
        SocketsError: they can't be collected, or there is no such listener.
    """
    options = clients.options
    rows = clients_in_order(client_rows(clients.take(deadline)).values(), options.sort)
    for note in clients.told.notes:
        sys.stderr.write(f"note: {note}\n")
    if not rows:
        sys.stderr.write("note: no clients to show\n")
    if options.json:
        return to_json([client_json(row) for row in rows]).decode() + "\n"
    style, with_listener = style_of(sys.stdout), clients.with_listener
    omitted = omitted_client_columns(rows, style, with_listener=with_listener)
    if omitted:
        sys.stderr.write(f"note: no room for {', '.join(omitted)} (all of it: | less -S)\n")
    return render_clients(rows, style, with_listener=with_listener)


def monitor_clients(clients: CollectedClients, interval: float, times: int | None) -> None:
    """Print the clients again and again, and what has changed.

    Raises:
        SocketsError: they can't be collected even once.
    """
    options = clients.options

    def take() -> tuple[Mapping[ClientKey, Client], Sequence[str]]:
        found, clients.told = take_in_turn(
            options.collecting.timeout, lambda deadline: (clients.take(deadline), clients.told)
        )
        return found, clients.told.notes

    changes = partial(ClientChanges, options.sort, clients.with_listener)
    monitor.run(take, changes, interval, times, as_json=options.json)


class Told(NamedTuple):
    """What one snapshot of clients tells the next.

    Attributes:
        notes: those for people on what can't be seen.
        was_there: there was a listener as wanted.
    """

    notes: tuple[str, ...] = ()
    was_there: bool = False


class CollectedClients:
    """The clients that the options ask for, collected once or again.

    Attributes:
        options: the options.
        told: what is known.
        with_listener: rows may be of several listeners, and say of which.

    Raises:
        UsageError: the options name no listener.
    """

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self._wanted: Wanted = parse_listener(options.listener)
        is_elsewhere = "@" in self._wanted.id or "netns" in filter_kinds(options.collecting)
        self._netns = ALL_NETNS if is_elsewhere else OWN
        self.told = Told()
        self.with_listener = not self._wanted.id

    def take(self, deadline: Deadline) -> dict[ClientKey, Client]:
        """Return the clients by listener and address, collected by *deadline*.

        Raises:
            SocketsError: the sockets can't be collected, or there is no such listener.
        """
        options = self.options
        asked = options.collecting, deadline, options.measuring
        query = query_without_asker(*asked, netns=self._netns)
        clients = ClientsByAddress()
        has_figures = False
        told: list[Visibility] = []
        try:
            for socket in iter_sockets(query, told.append):
                clients.add(socket)
                has_figures |= socket.cookie is not None
        except DeadlineError:
            deadline.check()  # its message has the caller's seconds, not those that were left
            raise
        for warning in (each for visibility in told for each in visibility.warnings):
            self._note(warning)
        if query.tcp_info and clients.by_key and not has_figures:
            self._note("no round-trip times and bytes: the sockets are read from /proc/net")
        if not self.told.was_there:  # a listener may go while one looks
            self._check(clients)
            self.told = self.told._replace(was_there=True)
        matches = self._wanted.matches
        return {key: client for key, client in clients.by_key.items() if matches(key[0])}

    def _check(self, clients: ClientsByAddress) -> None:
        """Check that there is a listener as wanted; with a filter it need not be among the sockets.

        Raises:
            SocketsError: there is none.
        """
        wanted = self._wanted
        if wanted == Wanted() or self.options.collecting.filter:
            return
        listeners = clients.listeners | {listener for listener, _ in clients.by_key}
        if any(map(wanted.matches, listeners)):
            return
        if wanted.port:
            what = f"nobody listens on TCP port {wanted.port}"
        else:
            what = f"no listener {wanted.id[:200]!r}"
        hint = "zabbix-sockets show listeners has all; --netns all looks into other namespaces, too"
        raise SocketsError(what, hint)

    def _note(self, note: str) -> None:
        if note not in self.told.notes:
            self.told = self.told._replace(notes=(*self.told.notes, note))
