"""`provision map`: reads what hosts tell, draws it, and makes or updates the map on the server."""

from __future__ import annotations

import os
import sys
import time

from zabbix_sockets.configuration import load
from zabbix_sockets.model.errors import SocketsError, UsageError
from zabbix_sockets.model.paths import CONFIG
from zabbix_sockets.provision import credentials
from zabbix_sockets.provision.api import USER_ROLE, Api, connected
from zabbix_sockets.provision.command import note
from zabbix_sockets.provision.frontend import Frontend, parse_frontend
from zabbix_sockets.provision.templates import check_version
from zabbix_sockets.service_map import printed
from zabbix_sockets.service_map.drawing import HOST, Aliases, Drawing, RowId, around, draw
from zabbix_sockets.service_map.labels import MOST_PARTS, LabelFigures, is_between_hosts
from zabbix_sockets.service_map.matching import MapHost, flows
from zabbix_sockets.service_map.options import (
    DOT,
    MAP,
    URL,
    MapOptions,
    check_network,
    check_options,
)
from zabbix_sockets.service_map.reading import (
    Found,
    HostSelection,
    read_hosts,
    read_icons,
    read_map_ids,
    read_row_items,
)
from zabbix_sockets.service_map.resolving import resolved
from zabbix_sockets.service_map.sheets import Sheet, sheets
from zabbix_sockets.service_map.state import default_path, read_state, write_state
from zabbix_sockets.service_map.told import NOTHING
from zabbix_sockets.service_map.writing import Writer, set_macros, set_sums
from zabbix_sockets.service_map.zabbix_map import Wishes

_DAY = 86_400
_HOPS = 2


def draw_map(options: MapOptions) -> None:
    """Make or update a map, or print its drawing.

    Raises:
        UsageError: options contradict each other.
        SocketsError: it can't be done.
    """
    check_options(options)
    frontend = _frontend(options)
    aliases = _aliases(options)
    login = options.login
    found = credentials.find(login, os.environ, note)
    if frontend.exposed:
        note("plain http: the password or token can be read on the way to the server")
    with connected(frontend, options.timeout, login.ca_file) as api:
        check_version(api.version)
        api.login(credentials.complete(found), USER_ROLE)
        drawn = options.drawn
        seen = read_hosts(api, HostSelection(drawn.group, drawn.host, drawn.tag), _progress)
        seen = seen._replace(hosts=tuple(resolved(seen.hosts)))
        drawing = _drawing(options, seen, aliases)
        if options.format == MAP:
            path = options.upkeep.state or default_path(
                frontend.url, options.name, dict(os.environ)
            )
            _make(api, options, seen, drawing, path)
        else:
            names = {host.hostid: host.name for host in seen.hosts}
            is_dot = options.format == DOT
            text = printed.to_dot(drawing) if is_dot else printed.to_json(drawing, names)
            sys.stdout.write(f"{text}\n")


def _frontend(options: MapOptions) -> Frontend:
    if options.url:
        return options.url
    if not os.environ.get(URL):
        raise UsageError("which server?", f"--url URL, or {URL}, is the frontend's address")
    try:
        return parse_frontend(os.environ[URL])
    except ValueError as error:
        raise UsageError(f"{URL}: {error}") from None


def _aliases(options: MapOptions) -> Aliases:
    """Return the aliases of the options, and of the configuration file where they have none."""
    path = options.drawn.config or CONFIG
    found = dict(load(path, required=bool(options.drawn.config)).aliases)
    for address in found:
        try:
            check_network(address)
        except ValueError as error:
            raise SocketsError(f"{path}: [map.aliases]: {error}") from None
    return Aliases(found | dict(options.drawn.alias))


def _progress(what: str, done: int, total: int) -> None:
    """Say on a terminal how far reading is."""
    if sys.stderr.isatty():
        end = "\r\x1b[K" if done >= total else ""
        sys.stderr.write(f"\rreading {what}: {done} of {total}{end}")
        sys.stderr.flush()


def _drawing(options: MapOptions, seen: Found, aliases: Aliases) -> Drawing:
    """Return the drawing of the selected hosts, and of whom they talk to.

    Raises:
        SocketsError: there is no host to focus on.
    """
    drawn = options.drawn
    whole = draw(seen.hosts, flows(seen.hosts), aliases, loopback=drawn.loopback)
    selected = {f"{HOST}/{hostid}" for hostid in seen.selected}
    lines = {pair: line for pair, line in whole.lines.items() if selected & {*pair}}
    talking = {key for pair in lines for key in pair}
    if drawn.group or drawn.host or drawn.tag:
        kept = talking | selected
    else:
        tellers = {f"{HOST}/{host.hostid}" for host in seen.hosts if host.told != NOTHING}
        kept = talking | tellers
    drawing = Drawing({key: whole.elements[key] for key in sorted(kept)}, lines)
    if drawn.focus is None:
        return drawing
    ids = [host.hostid for host in seen.hosts if drawn.focus in (host.name, host.shown)]
    if not ids or f"{HOST}/{ids[0]}" not in drawing.elements:
        raise SocketsError(f"no host {drawn.focus} on the map")
    return around(drawing, f"{HOST}/{ids[0]}", drawn.hops or _HOPS)


def _make(api: Api, options: MapOptions, seen: Found, drawing: Drawing, path: str) -> None:
    """Make or update the maps of a drawing, and what is to be on hosts for it."""
    state = read_state(path)
    now = int(time.time())
    rows = _rows_of(drawing)
    items = read_row_items(api, rows, _progress)
    _tell_left_out(seen.hosts)
    made = sheets(
        options.name,
        drawing,
        seen.hosts,
        options.drawn.group,
        by_group=options.drawn.by is not None,
    )
    ids = read_map_ids(api, [sheet.name for sheet in made])
    if options.upkeep.discover:
        shown = _labelled_rows(made, sums=bool(options.upkeep.host_for_sums))
        wanted = [row for row in shown if row not in items.live]
        live = [row for row in shown if row in items.live]
        set_macros(api, options, [*wanted, *live], new=len(wanted))
    sums = {}
    if options.upkeep.host_for_sums:
        sums = set_sums(api, options, made[-1].drawing, items.live)
    moment = time.strftime("as of %-d %b %Y, %H:%M", time.localtime(now))
    figures = LabelFigures(items.live, seen.counted, sums, moment)
    wishes = Wishes(now, options.upkeep.keep * _DAY, options.upkeep.relayout, read_icons(api))
    writer = Writer(api, options, figures, items, wishes, ids)
    remembered = {sheet.name: writer.write(sheet, state.get(sheet.name)) for sheet in made}
    if not options.dry_run:
        write_state(path, {**state, **remembered})


def _rows_of(drawing: Drawing) -> frozenset[RowId]:
    """Return all rows of upstreams and listeners that a drawing has."""
    parts = [part for line in drawing.lines.values() for part in line.parts]
    return frozenset(row for part in parts for row in (*part.upstreams, *part.listeners))


def _labelled_rows(made: list[Sheet], *, sums: bool) -> list[RowId]:
    """Return the rows of upstreams that labels may have figures of.

    Those are the ones that lines between hosts name; with *sums* all of lines between groups, too.
    """
    rows: set[RowId] = set()
    for sheet in made:
        for pair, line in sheet.drawing.lines.items():
            if is_between_hosts(pair):
                rows.update(row for part in line.parts[:MOST_PARTS] for row in part.upstreams)
            elif sums:
                rows.update(row for part in line.parts for row in part.upstreams)
    return sorted(rows)


def _tell_left_out(hosts: tuple[MapHost, ...]) -> None:
    lacking = [host for host in hosts if host.told.left_out]
    if lacking:
        count = sum(host.told.left_out for host in lacking)
        names = ", ".join(host.name for host in lacking[:3]) + ", ..." * (len(lacking) > 3)  # noqa: PLR2004  # as many as are named
        note(f"{count} listeners and upstreams had no room in what hosts tell: {names}")
