"""The drawing: elements, and a line between each two of them that talk. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from zabbix_sockets.service_map.matching import Flow, MapHost, is_loopback

HOST, END, GROUP, MORE = "host", "end", "group", "more"
"""The kinds of elements: a host, an end of no known host, a group of hosts, several elements in the
place of each."""

MOST_ALONE = 5
"""The most ends of no known host at one port that are elements of their own."""

RowId = tuple[str, str]
"""The id of a host, and of one of its rows of upstreams or listeners."""


class Element(NamedTuple):
    """Something that talks, or is talked to.

    Attributes:
        key: tells it from others, and is the same at each drawing: its kind, a slash, and what
            tells it from others of its kind.
        name: what people call it.
        hostids: the hosts that it stands for.
        inside: what its processes connect to on the host itself, if that is asked for.
    """

    key: str
    name: str
    hostids: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """One of the kinds above."""
        return self.key.partition("/")[0]


class LinePart(NamedTuple):
    """What processes of one name talk about with one kind of server, on a line.

    Attributes:
        client: the name of the process that connects.
        server: the name of the process or container that answers; else the port.
        upstreams: the rows of the client's host, sorted.
        listeners: the rows of the server's host, sorted.
    """

    client: str
    server: str
    upstreams: tuple[RowId, ...]
    listeners: tuple[RowId, ...]


Pair = tuple[str, str]
"""The keys of two elements, in ascending order."""


class MapLine(NamedTuple):
    """A line: all that two elements have with each other.

    Attributes:
        client: the key of the element that connects, or does so more.
        server: the key of the other one.
        parts: those with most upstreams first.
    """

    client: str
    server: str
    parts: tuple[LinePart, ...]

    @property
    def pair(self) -> Pair:
        """The keys of its elements, by which it is known."""
        return pair_of(self.client, self.server)


class Drawing(NamedTuple):
    """Elements by key, and lines by the keys of their elements."""

    elements: Mapping[str, Element]
    lines: Mapping[Pair, MapLine]

    def of(self, keys: Iterable[str]) -> Drawing:
        """Return the part of the drawing with the elements of these keys."""
        kept = {key: self.elements[key] for key in sorted(keys)}
        lines = {pair: line for pair, line in self.lines.items() if {*pair} <= kept.keys()}
        return Drawing(kept, lines)


def pair_of(one: str, other: str) -> Pair:
    """Return the keys of two elements in ascending order."""
    return (one, other) if one < other else (other, one)


class Aliases:
    """Names that people give to addresses and networks of no known host.

    Args:
        names: by address or network, as text; the longest prefix wins.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        networks = [(ipaddress.ip_network(text), name) for text, name in (names or {}).items()]
        self._networks = sorted(networks, key=lambda each: -each[0].prefixlen)

    def of(self, address: str) -> str:
        """Return the name of an address; empty if it has none."""
        parsed = ipaddress.ip_address(address)
        return next((name for network, name in self._networks if parsed in network), "")


def draw(
    hosts: Sequence[MapHost], found: Iterable[Flow], aliases: Aliases, *, loopback: bool = False
) -> Drawing:
    """Return the drawing of all hosts and of what was found of them.

    Flows within a host are told by its element where *loopback* asks for those of loopback, and
    are no lines.
    """
    all_flows = list(found)
    key_of = _end_keys(all_flows, aliases)
    inside: dict[str, set[str]] = defaultdict(set)
    crossing: dict[tuple[str, str], list[Flow]] = defaultdict(list)
    for flow in all_flows:
        if not flow.is_inside:
            server = f"{HOST}/{flow.server}" if flow.server else key_of[flow.upstream.end[1:3]]
            crossing[f"{HOST}/{flow.client}", server].append(flow)
        elif loopback and is_loopback(flow.upstream.end.address):
            inside[flow.client].add(
                f"{flow.upstream.process} \N{RIGHTWARDS ARROW} {server_of(flow)}"
            )
    elements = {
        f"{HOST}/{each.hostid}": Element(
            f"{HOST}/{each.hostid}",
            each.shown,
            (each.hostid,),
            tuple(sorted(inside[each.hostid])),
        )
        for each in hosts
    }
    ends = {key for _, key in crossing if key not in elements}
    elements |= {key: Element(key, _end_name(key, key_of)) for key in sorted(ends)}
    return Drawing(dict(sorted(elements.items())), _lines(crossing))


def _end_keys(found: Iterable[Flow], aliases: Aliases) -> dict[tuple[str, int], str]:
    """Return the keys of the elements of ends of no known host, by address and port.

    Those with an alias are one element for each name; others one for each address, or where there
    are many at one port one for that port.
    """
    ends = {flow.upstream.end[1:3] for flow in found if not flow.server}
    at_port = Counter(port for address, port in ends if not aliases.of(address))
    keys = {}
    for address, port in ends:
        name = aliases.of(address)
        if name:
            keys[address, port] = f"{END}/={name}"
        elif at_port[port] > MOST_ALONE:
            keys[address, port] = f"{END}/:{port}"
        else:
            keys[address, port] = f"{END}/{address}"
    return keys


def _end_name(key: str, key_of: Mapping[tuple[str, int], str]) -> str:
    name = key.partition("/")[2]
    if name.startswith("="):
        return name[1:]
    if name.startswith(":"):
        count = sum(each == key for each in key_of.values())
        return f"port {name[1:]}, {count} addresses"
    return name


def server_of(flow: Flow) -> str:
    """Return the name of who answers: container, else process, else the port."""
    listener = flow.listener
    named = listener and (listener.container or listener.process)
    return named or f"port {flow.upstream.end.port}"


def _lines(crossing: Mapping[tuple[str, str], Sequence[Flow]]) -> dict[Pair, MapLine]:
    parts: dict[Pair, dict[str, list[LinePart]]] = defaultdict(dict)
    for (client, server), found in crossing.items():
        parts[pair_of(client, server)][client] = _parts(found)
    lines = {}
    for pair in sorted(parts):
        by_client = parts[pair]
        client, server = _client_and_server(pair, by_client)
        both = sorted((part for some in by_client.values() for part in some), key=_order_of)
        lines[pair] = MapLine(client, server, tuple(both))
    return lines


def _client_and_server(pair: Pair, by_client: Mapping[str, Sequence[LinePart]]) -> tuple[str, str]:
    """Return the ends of a line by what each of them is the client of: most makes the client."""
    client = max(sorted(by_client), key=lambda key: _upstreams(by_client[key]))
    return client, pair[0] if client == pair[1] else pair[1]


def _upstreams(parts: Iterable[LinePart]) -> int:
    return sum(len(part.upstreams) for part in parts)


def _order_of(part: LinePart) -> tuple[int, str, str]:
    return -len(part.upstreams), part.client, part.server


def _parts(found: Iterable[Flow]) -> list[LinePart]:
    rows: dict[tuple[str, str], tuple[set[RowId], set[RowId]]] = defaultdict(lambda: (set(), set()))
    for flow in found:
        upstreams, listeners = rows[flow.upstream.process, server_of(flow)]
        upstreams.add((flow.client, flow.upstream.row))
        if flow.listener:
            listeners.add((flow.server, flow.listener.row))
    return [
        LinePart(client, server, tuple(sorted(upstreams)), tuple(sorted(listeners)))
        for (client, server), (upstreams, listeners) in rows.items()
    ]


def folded(drawing: Drawing, fold: Callable[[str], Element]) -> Drawing:
    """Return the drawing in which *fold* returns the element for the key of each present one.

    Lines between elements that become one are left out.
    """
    into = {key: fold(key) for key in drawing.elements}
    elements: dict[str, Element] = {}
    for key in drawing.elements:
        element = into[key]
        before = elements.get(element.key, element._replace(hostids=()))
        hostids = {*before.hostids, *drawing.elements[key].hostids}
        elements[element.key] = before._replace(hostids=tuple(sorted(hostids)))
    crossing: dict[Pair, dict[str, list[LinePart]]] = defaultdict(lambda: defaultdict(list))
    for line in drawing.lines.values():
        client, server = into[line.client].key, into[line.server].key
        if client != server:
            crossing[pair_of(client, server)][client] += line.parts
    lines = {}
    for pair in sorted(crossing):
        by_client = crossing[pair]
        client, server = _client_and_server(pair, by_client)
        merged = _merged(part for some in by_client.values() for part in some)
        lines[pair] = MapLine(client, server, merged)
    return Drawing(dict(sorted(elements.items())), lines)


def _merged(parts: Iterable[LinePart]) -> tuple[LinePart, ...]:
    """Return the parts, those of the same names as one."""
    rows: dict[tuple[str, str], tuple[set[RowId], set[RowId]]] = defaultdict(lambda: (set(), set()))
    for part in parts:
        upstreams, listeners = rows[part.client, part.server]
        upstreams.update(part.upstreams)
        listeners.update(part.listeners)
    made = (
        LinePart(client, server, tuple(sorted(upstreams)), tuple(sorted(listeners)))
        for (client, server), (upstreams, listeners) in rows.items()
    )
    return tuple(sorted(made, key=_order_of))


def around(drawing: Drawing, key: str, hops: int) -> Drawing:
    """Return the part of the drawing within so many lines of the element *key*."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for one, other in drawing.lines:
        neighbours[one].add(other)
        neighbours[other].add(one)
    reached = outermost = {key}
    for _ in range(hops):
        outermost = {each for inner in outermost for each in neighbours[inner]} - reached
        reached = reached | outermost
    return drawing.of(reached)
