"""The template on the server, by Zabbix's API: linked, of this version, and without errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zabbix_sockets.check.line import Line, broken, degraded, ok, typed, unknown
from zabbix_sockets.check.question import API, Question
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision.api import Api, ApiObject, connected
from zabbix_sockets.provision.failures import RefusedError
from zabbix_sockets.provision.inventory import read_linked
from zabbix_sockets.provision.templates import (
    NAMES,
    TEMPLATES,
    Template,
    decode_differences,
    import_rules,
    installed_folder,
    read_source,
)
from zabbix_sockets.sending.contents import MASTER_KEY
from zabbix_sockets.service_map.told import LISTENERS, NOTHING, UPSTREAMS, parse_told

HOST, TEMPLATE, MASTER_ITEM, MAP = "host", "template", "master item", "map"

_ERROR_KEY = "sockets.collector.error"
_NOT_SUPPORTED, _DISABLED = "1", "1"


def check_template(question: Question) -> Iterator[Line]:
    """Yield the lines of what the server has of this host; nothing is changed there."""
    url = question.frontend.url
    provision = typed("zabbix-sockets", "provision", url, "--host", question.host)
    try:
        with connected(question.frontend, question.timeout, question.ca_file) as api:
            api.login(question.credentials)
            major, minor = api.version
            yield ok(API, f"{url}, Zabbix {major}.{minor}")
            yield from _check_host(api, question.host, provision)
    except RefusedError as error:
        yield broken(API, f"{url}: {error}", "")
    except SocketsError as error:
        yield unknown(API, f"{url}: {error}")


def _check_host(api: Api, host: str, provision: str) -> Iterator[Line]:
    rows = api.rows(
        "host.get",
        lambda row: (str(row["hostid"]), str(row["status"])),
        output=["hostid", "status"],
        filter={"host": [host]},
    )
    if not rows:
        new = f"{provision} --interface $(hostname -I | cut -d' ' -f1):10050"
        yield broken(HOST, f"the API user sees no host {host!r}", new)
        return
    (hostid, status) = rows[0]
    linked = read_linked(api, host)
    ours = {kind: each for kind, each in TEMPLATES.items() if each.name in linked}
    if not ours:
        yield broken(HOST, f"{host} is linked to none of {', '.join(NAMES)}", provision)
        return
    names = [each.name for each in ours.values()]
    if status == _DISABLED:
        yield degraded(
            HOST, f"{host} is linked to {' and '.join(names)}, and disabled on the server"
        )
    else:
        yield ok(HOST, f"{host} is linked to {' and '.join(names)}")
    for kind, template in ours.items():
        yield _check_version(api, template, f"{provision} --template {kind}")
    yield _check_master(api, hostid)
    yield _check_map(api, hostid, provision)


def _check_version(api: Api, template: Template, provision: str) -> Line:
    """Return the line of a template: whether an import of ours would change it."""
    source = read_source(installed_folder(), template, api.version)
    differences = api.decoded(
        "configuration.importcompare",
        decode_differences,
        format="yaml",
        source=source,
        rules=import_rules(api.version, delete_missing=False),
    )
    if not differences.verb:
        return ok(TEMPLATE, f"{template.name} is as this version has it")
    return degraded(
        TEMPLATE,
        f"{template.name} on the server is another version's, or was changed: {differences}",
        provision,
    )


def _check_master(api: Api, hostid: str) -> Line:
    """Return the line of the master items of a host: they are supported, and bring no error.

    What the collector says instead of a document, or the template of an agent without one, is a
    value of the item of its error.
    """
    rows = api.rows(
        "item.get",
        _decode_item,
        output=["key_", "state", "status", "error", "lastclock"],
        hostids=[hostid],
        search={"key_": MASTER_KEY},
        startSearch=True,
    )
    if not rows:
        return broken(MASTER_ITEM, f"the host has no item {MASTER_KEY}")
    for key, state, status, error, lastclock in rows:
        if state == _NOT_SUPPORTED:
            return broken(MASTER_ITEM, f"{key} is not supported: {error}", "zabbix-sockets check")
        if status == _DISABLED:
            return degraded(MASTER_ITEM, f"{key} is disabled on the server")
        del lastclock  # master items keep no history: 0 says nothing
    errors = api.rows(
        "item.get",
        _decode_value,
        output=["lastvalue"],
        hostids=[hostid],
        filter={"key_": [_ERROR_KEY]},
    )
    for text in filter(None, errors):
        message = f"{rows[0][0]} brings no document: {text}"
        return broken(MASTER_ITEM, message, "zabbix-sockets check")
    return ok(MASTER_ITEM, f"{rows[0][0]} is supported, and has no error")


def _check_map(api: Api, hostid: str, provision: str) -> Line:
    """Return the line of what the host has told for `provision map`."""
    texts = dict(
        api.rows(
            "item.get",
            lambda row: (str(row["key_"]), _decode_value(row)),
            output=["key_", "lastvalue"],
            hostids=[hostid],
            filter={"key_": [LISTENERS, UPSTREAMS]},
        )
    )
    if len(texts) < len((LISTENERS, UPSTREAMS)):
        said = f"the host's template is without {LISTENERS} and {UPSTREAMS}: it is on no map"
        return degraded(MAP, said, provision)
    told = parse_told(texts[LISTENERS], texts[UPSTREAMS])
    if told == NOTHING:
        return unknown(MAP, "the host has told nothing of itself yet, by which it could be drawn")
    lists = {
        "addresses": told.addresses,
        "listeners": told.listeners,
        "upstreams": told.upstreams,
    }
    said = "the host tells of " + ", ".join(f"{len(each)} {name}" for name, each in lists.items())
    if told.left_out:
        return degraded(MAP, f"{said}; {told.left_out} more had no room")
    return ok(MAP, said)


def _decode_value(row: ApiObject) -> str:
    return str(row.get("lastvalue") or "")


def _decode_item(row: ApiObject) -> tuple[str, str, str, str, str]:
    def text(name: str) -> str:
        value: Any = row.get(name)
        return "" if value is None else str(value)

    return text("key_"), text("state"), text("status"), text("error"), text("lastclock")
