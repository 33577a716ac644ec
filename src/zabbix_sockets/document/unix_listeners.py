"""Rows of the list `listeners` for unix sockets: one for each name that they listen on."""

from __future__ import annotations

from zabbix_sockets.document.listener_row import (
    ListenerRow,
    Others,
    accept_queue,
    members_of,
    names_label,
    socket_unit,
    sum_of_known,
)
from zabbix_sockets.document.row import OF_PROCESSES, Choice, NetnsLabel, Rank, RankedRow, rank
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.model.light_typing import Any
from zabbix_sockets.model.names import is_autobound, unix_name
from zabbix_sockets.model.snapshot import Snapshot, UnixListener
from zabbix_sockets.model.wire import UNIX


def unix_listener_rows(
    snapshot: Snapshot,
    groups: Groups,
    label: NetnsLabel,
    facts: set[str],
    choice: Choice,
    others: Others,
) -> list[RankedRow[ListenerRow]]:
    """Return a row for each name that unix sockets listen on, of those of *choice*.

    The sums of the others are added to *others*.
    """
    listening: dict[tuple[str, bytes], list[UnixListener]] = {}
    for listener in snapshot.unix.listeners if snapshot.unix else ():
        listening.setdefault((label(listener.netns), listener.name), []).append(listener)
    ranks = {key: _rank(*key, sockets) for key, sockets in listening.items()}
    chosen = choice.of(ranks)
    rows = []
    for key, sockets in listening.items():
        if key in chosen:
            rows.append(_row(snapshot, groups, sockets, key[0], facts, ranks[key]))
            continue
        is_offered = not key[0] and not is_autobound(key[1])
        others.add(is_offered=is_offered, **_additive(snapshot, sockets, facts))
    return rows


def _additive(snapshot: Snapshot, sockets: list[UnixListener], facts: set[str]) -> dict[str, Any]:
    """Return the fields of a row that may be added to those of another row."""
    waiting, backlog, _ = accept_queue(sockets)
    members = members_of(snapshot, {each.owner for each in sockets})
    return {
        "sockets": len(sockets),
        "processes": len(members) if OF_PROCESSES in facts else None,
        "established": _established(sockets),
        "accept_queue": waiting,
        "backlog": backlog,
    }


def _rank(netns: str, name: bytes, sockets: list[UnixListener]) -> Rank:
    uids = (each.uid for each in sockets if each.uid is not None)
    row_id = f"{UNIX}/{unix_name(name)}" + (f"@{netns}" if netns else "")
    # Behind TCP's: of these none shall be left out for them.
    return rank(min(uids, default=None), False, _established(sockets) or 0, row_id)


def _established(sockets: list[UnixListener]) -> int | None:
    accepted = sum_of_known(each.accepted for each in sockets)
    waiting = sum_of_known(each.accept_queue for each in sockets)
    return None if accepted is None or waiting is None else accepted + waiting


def _row(
    snapshot: Snapshot,
    groups: Groups,
    sockets: list[UnixListener],
    netns: str,
    facts: set[str],
    ranked: Rank,
) -> RankedRow[ListenerRow]:
    owners = {each.owner for each in sockets}
    members = members_of(snapshot, owners)
    namespaces = {each.netns: snapshot.namespaces.get(each.netns) for each in sockets}
    containers = {found.container if found else "" for found in namespaces.values()}
    row = ListenerRow(
        id=ranked[3],
        protocol=UNIX,
        address=unix_name(sockets[0].name),
        device="",
        netns=netns,
        container=(containers.pop() or None) if len(containers) == 1 else None,
        socket_unit=socket_unit(snapshot, netns, members, (UNIX, sockets[0].name, 0, "")),
        ephemeral=int(is_autobound(sockets[0].name)),
        process=names_label(groups, owners),
        **_additive(snapshot, sockets, facts),
        accept_queue_pct=accept_queue(sockets)[2],
    )
    return RankedRow(ranked, row, None, members)
