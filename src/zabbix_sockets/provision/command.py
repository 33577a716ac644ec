"""The verb `provision`: asks, plans, and carries it out, printing a line for each change."""

import os
import sys
from typing import NamedTuple

from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.provision import credentials
from zabbix_sockets.provision.api import Api, connected
from zabbix_sockets.provision.failures import RefusedError, in_one_line
from zabbix_sockets.provision.inventory import read_groupid, read_inventory, read_templateid
from zabbix_sockets.provision.options import DesiredState, ProvisionOptions, desired_state
from zabbix_sockets.provision.plan import Change, HostPlan, Ids, ProvisionPlan, group_of, make_plan
from zabbix_sockets.provision.templates import (
    TEMPLATE_GROUP,
    Differences,
    Rules,
    Template,
    check_version,
    decode_differences,
    import_rules,
    installed_folder,
    read_source,
    without_new_dashboards,
)

_DONE = {"create": "created", "update": "updated", "link": "linked", "add": "added"}
_NO_IDS = Ids("", "")


class _Import(NamedTuple):
    """A template, the parameters of an import, and what that would change."""

    template: Template
    parameters: dict[str, object]
    differences: Differences


class _Journal:
    """Prints a line for each change that is made or, with *dry_run*, would be."""

    def __init__(self, *, dry_run: bool) -> None:
        self.dry_run = dry_run

    def change(self, verb: str, what: str) -> None:
        self._write(f"would {verb} {what}" if self.dry_run else f"{_DONE[verb]} {what}")

    def unchanged(self, what: str) -> None:
        self._write(f"unchanged: {what}")

    def _write(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()  # each may take a while, and people wait


def note(text: str) -> None:
    """Print a note for the caller to stderr, in one line."""
    sys.stderr.write(f"note: {in_one_line(text)}\n")


def provision(options: ProvisionOptions) -> None:
    """Import the templates and link the hosts that *options* name.

    Raises:
        UsageError: options contradict each other.
        SocketsError: it can't be done, or not for all hosts.
    """
    desired = desired_state(options)
    found = credentials.find(options.login, os.environ, note)
    if options.url.exposed:
        note("plain http: the password or token can be read on the way to the server")
    with connected(options.url, options.timeout, options.login.ca_file) as api:
        check_version(api.version)
        sources = {
            template: read_source(installed_folder(), template, api.version)
            for template in desired.templates
        }
        api.login(credentials.complete(found))
        _provision(api, desired, sources, _Journal(dry_run=options.dry_run))


def _provision(
    api: Api, desired: DesiredState, sources: dict[Template, str], journal: _Journal
) -> None:
    """Read the actual state, then make all changes."""
    rules = import_rules(api.version, delete_missing=desired.delete_missing)
    imports = [_compare(api, template, source, rules) for template, source in sources.items()]
    plan = make_plan(desired, read_inventory(api, desired)) if desired.hosts else ProvisionPlan(())
    if not api.is_super_admin:
        _check_groups(imports, plan)
    for each in imports:
        _import(api, each, journal)
    refusals = _change_hosts(api, desired, plan, journal)
    names = [each.name for each in plan.hosts if each.unmet or each.name in refusals]
    if names:
        raise SocketsError(
            f"{len(names)} of {len(plan.hosts)} hosts not done: {', '.join(names)}",
            next(filter(None, refusals.values()), ""),
        )


def _check_groups(imports: list[_Import], plan: ProvisionPlan) -> None:
    """Raise SocketsError where only a Super admin could create a group that is needed."""
    hint = "a role of type Super admin can create it; else give the user read-write access to it"
    if any(each.differences.adds_groups for each in imports):
        raise SocketsError(f"the API user can't see the template group {TEMPLATE_GROUP}", hint)
    if plan.new_group:
        raise SocketsError(f"the API user can't see the host group {plan.new_group}", hint)


def _compare(api: Api, template: Template, source: str, rules: Rules) -> _Import:
    found = _compare_by(api, template, source, rules)
    if api.is_super_admin or not found.differences.adds_dashboards:
        return found
    found = _compare_by(api, template, source, without_new_dashboards(rules))
    if found.differences.verb:
        note(f"template {template.name}: its dashboard is left as it is, as no Admin may see it")
    return found


def _compare_by(api: Api, template: Template, source: str, rules: Rules) -> _Import:
    parameters: dict[str, object] = {"format": "yaml", "source": source, "rules": rules}
    differences = api.decoded("configuration.importcompare", decode_differences, **parameters)
    return _Import(template, parameters, differences)


def _import(api: Api, each: _Import, journal: _Journal) -> None:
    """Import a template, if that changes anything."""
    what, verb = f"template {each.template.name}", each.differences.verb
    if not verb:
        journal.unchanged(what)
        return
    details = f" ({each.differences})"
    change = Change(verb, what, "configuration.import", lambda _ids: each.parameters, details)
    _do(api, change, _NO_IDS, journal)


def _change_hosts(
    api: Api, desired: DesiredState, plan: ProvisionPlan, journal: _Journal
) -> dict[str, str]:
    """Carry out the plan for the hosts; return the hint of each refusal, by host name."""
    if plan.new_group:
        _do(api, _new_group(plan.new_group), _NO_IDS, journal)
    ids = _NO_IDS
    if not journal.dry_run and any(each.changes for each in plan.hosts):
        ids = _read_ids(api, desired)
    refusals = {}
    for each in plan.hosts:
        for text in each.notes:
            note(text)
        try:
            _change_host(api, each, ids, journal)
        except RefusedError as error:
            note(str(error))
            refusals[each.name] = error.hint
    return refusals


def _new_group(name: str) -> Change:
    return Change("create", f"group {name}", "hostgroup.create", lambda _ids: {"name": name})


def _read_ids(api: Api, desired: DesiredState) -> Ids:
    template = read_templateid(api, desired.linked.name)
    if template is None:
        raise SocketsError(f"the API user can't see the template {desired.linked.name}")
    return Ids(template, read_groupid(api, group_of(desired)) or "")


def _change_host(api: Api, plan: HostPlan, ids: Ids, journal: _Journal) -> None:
    for change in plan.changes:
        _do(api, change, ids, journal)
    if not plan.changes and not plan.unmet:
        journal.unchanged(f"host {plan.name}")


def _do(api: Api, change: Change, ids: Ids, journal: _Journal) -> None:
    """Make a change with *ids*, unless it is a dry run, and print it.

    Raises:
        RefusedError: the server refuses; the message names the change.
    """
    if not journal.dry_run:
        try:
            api.call(change.method, **change.parameters(ids))
        except RefusedError as error:
            message = f"can't {change.verb} {change.what}: {error}"
            raise RefusedError(message, error.hint) from None
    journal.change(change.verb, f"{change.what}{change.details}")
