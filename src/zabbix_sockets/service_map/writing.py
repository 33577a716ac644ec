"""What `provision map` changes on the server: maps, macros of hosts, and items of sums."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import Api, ApiObject
from zabbix_sockets.provision.command import note
from zabbix_sockets.provision.failures import RefusedError
from zabbix_sockets.service_map.drawing import Drawing, MapLine, Pair, RowId
from zabbix_sockets.service_map.labels import LabelFigures, is_between_hosts, line_label, sum_label
from zabbix_sockets.service_map.options import MapOptions
from zabbix_sockets.service_map.reading import RowItems, read_map
from zabbix_sockets.service_map.sheets import Sheet
from zabbix_sockets.service_map.state import Seen, nothing_seen
from zabbix_sockets.service_map.upkeep import (
    BYTES_PER_ITEM,
    ITEMS_PER_ROW,
    MACRO,
    SUM_KEY,
    MacroChange,
    macro_changes,
    sum_changes,
    sum_key,
)
from zabbix_sockets.service_map.zabbix_map import (
    Merged,
    SheetContent,
    Trigger,
    Wishes,
    linked_pairs,
    merge,
)

_MOST_TRIGGERS = 30
"""The most triggers of a line."""
_FRESH = 86_400
"""Seconds for which a figure of a drawing stays, so that runs in a row change nothing."""
_PAGE = 100
_RIGHTS = "the role of the API user needs to allow maps to be edited, and the API's methods map.*"


def say(text: str) -> None:
    """Print a line for what was changed."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Writer:
    """Makes and updates the maps of sheets, in their order: submaps come first.

    Args:
        api: the server.
        options: those of the command.
        figures: what labels tell.
        items: items and triggers of rows.
        wishes: how maps are to be changed.
        ids: those of the maps that there are, by name.
    """

    def __init__(
        self,
        api: Api,
        options: MapOptions,
        figures: LabelFigures,
        items: RowItems,
        wishes: Wishes,
        ids: Mapping[str, str],
    ) -> None:
        self._api = api
        self._options = options
        self._figures = figures
        self._items = items
        self._wishes = wishes
        self._ids = dict(ids)

    def write(self, sheet: Sheet, seen: Seen | None) -> Seen:
        """Make or update the map of a sheet, and return what is to be remembered of it.

        Raises:
            RefusedError: the server refuses.
        """
        seen = seen or nothing_seen()
        sysmapid = self._ids.get(sheet.name)
        existing = read_map(self._api, sysmapid) if sysmapid else None
        labels = self._labels(sheet, seen)
        lines = sheet.drawing.lines
        content = SheetContent(
            sheet,
            labels,
            {pair: self._triggers(line) for pair, line in lines.items()},
            {key: self._ids.get(name, "0") for key, name in sheet.submaps.items()},
        )
        merged = merge(content, existing, seen, self._wishes)
        written = self._apply(sheet.name, merged, existing)
        dated = {
            "\t".join(pair): (label, self._moment_of(pair, label, seen))
            for pair, label in labels.items()
            if _is_dated(label)
        }
        links = linked_pairs(written, seen) if written else {}
        return merged.seen._replace(labels=dated, links=links)

    def _labels(self, sheet: Sheet, seen: Seen) -> dict[Pair, str]:
        labels = {}
        for pair, line in sheet.drawing.lines.items():
            make = line_label if is_between_hosts(pair) else sum_label
            label = make(line, self._figures)
            before, moment = seen.labels.get("\t".join(pair), ("", 0))
            is_fresh = self._wishes.now - moment < _FRESH
            same = _is_dated(label) and _without_figures(label) == _without_figures(before)
            labels[pair] = before if same and is_fresh else label
        return labels

    def _moment_of(self, pair: Pair, label: str, seen: Seen) -> int:
        before, moment = seen.labels.get("\t".join(pair), ("", 0))
        return moment if label == before else self._wishes.now

    def _triggers(self, line: MapLine) -> Sequence[Trigger]:
        rows = [row for part in line.parts for row in (*part.upstreams, *part.listeners)]
        found = {each: None for row in rows for each in self._items.triggers.get(row, ())}
        return sorted(found)[:_MOST_TRIGGERS]

    def _apply(self, name: str, merged: Merged, existing: ApiObject | None) -> ApiObject | None:
        """Make the changes, and return the map as it is then; None where there is none."""
        what = f"map {name}"
        if merged.hidden:
            note(f"{what}: {merged.hidden} lines are too close to others to have a label")
        is_to_be_private = self._options.upkeep.private
        if existing:
            if not merged.changes:
                say(f"unchanged: {what}")
                return existing
            if self._options.dry_run:
                say(f"would update {what} ({merged.changes})")
                return existing
            self._call("update", what, "map.update", merged.parameters)
            say(f"updated {what} ({merged.changes})")
            return read_map(self._api, self._ids[name])
        if self._options.dry_run:
            say(f"would create {what} ({merged.changes})")
            return None
        private = "1" if is_to_be_private else "0"
        made = self._call("create", what, "map.create", {**merged.parameters, "private": private})
        self._ids[name] = str(made["sysmapids"][0])
        say(f"created {what} ({merged.changes})")
        return read_map(self._api, self._ids[name])

    def _call(self, verb: str, what: str, method: str, parameters: ApiObject) -> Any:
        try:
            return self._api.call(method, **parameters)
        except RefusedError as error:
            raise RefusedError(f"can't {verb} {what}: {error}", error.hint or _RIGHTS) from None


def _is_dated(label: str) -> bool:
    return "as of " in label


def _without_figures(label: str) -> str:
    """Return a label without the figures of a drawing and its date."""
    return re.sub(r": \d+$", ":", label.partition("as of ")[0], flags=re.MULTILINE)


def set_macros(api: Api, options: MapOptions, rows: Sequence[RowId], *, new: int) -> None:
    """Have hosts discover *rows*, ids of upstreams, by macros of theirs; *new* of them are not yet.

    What that costs is said first.

    Raises:
        RefusedError: the server refuses.
    """
    hostids = sorted({hostid for hostid, _ in rows})
    present = {}
    for start in range(0, len(hostids), _PAGE):
        for macro in api.rows(
            "usermacro.get",
            dict,
            output=["hostmacroid", "hostid", "macro", "value", "description"],
            hostids=hostids[start : start + _PAGE],
            filter={"macro": [MACRO]},
        ):
            present[str(macro["hostid"])] = macro
    changes = macro_changes(rows, present, options.name)
    for each in changes:
        if each.note:
            note(f"host {each.hostid}: {each.note}")
    wanted = [each for each in changes if each.value]
    if not wanted:
        return
    items = new * ITEMS_PER_ROW
    megabytes = items * BYTES_PER_ITEM / 1e6
    would = "would discover" if options.dry_run else "discovering"
    say(
        f"{would} {sum(each.rows for each in wanted)} upstreams of {len(wanted)} hosts: about"
        f" {items} more items, {megabytes:.1f} MB of the server's CacheSize"
    )
    for each in wanted if not options.dry_run else ():
        _set_macro(api, each, options.name)


def _set_macro(api: Api, change: MacroChange, name: str) -> None:
    method = "usermacro.update" if change.macroid else "usermacro.create"
    try:
        api.call(method, **change.parameters(name))
    except RefusedError as error:
        note(f"host {change.hostid}: can't set {MACRO}: {error}")


def set_sums(
    api: Api, options: MapOptions, drawing: Drawing, live: Mapping[RowId, tuple[str, str]]
) -> dict[Pair, tuple[str, str]]:
    """Make the items of sums of a drawing's lines, and return host and key of each by pair.

    Raises:
        SocketsError: there is no such host, or the server refuses.
    """
    host = options.upkeep.host_for_sums or ""
    hosts = api.rows(
        "host.get",
        lambda row: str(row["hostid"]),
        output=["hostid"],
        filter={"host": [host]},
        editable=True,
    )
    if not hosts:
        raise SocketsError(f"no host {host} that the API user may change", "--host-for-sums HOST")
    present = api.rows(
        "item.get",
        dict,
        output=["itemid", "key_", "params", "description"],
        hostids=hosts,
        search={"key_": SUM_KEY},
        startSearch=True,
    )
    changes = sum_changes(options.name, drawing, live, hosts[0], present)
    for text in changes.notes:
        note(text)
    counts = [(len(changes.create), "created"), (len(changes.update), "updated")]
    counts.append((len(changes.delete), "deleted"))
    told = ", ".join(f"{count} {verb}" for count, verb in counts if count)
    if told:
        say(f"{'would change' if options.dry_run else 'changed'} items of sums ({told})")
    if not options.dry_run:
        for item in changes.create:
            api.call("item.create", **item)
        for item in changes.update:
            api.call("item.update", **item)
        if changes.delete:
            api.delete("item.delete", changes.delete)
    made = {str(item["key_"]) for item in (*present, *changes.create)}
    keys = {pair: sum_key(options.name, pair) for pair in drawing.lines}
    return {pair: (host, key) for pair, key in keys.items() if key in made}
