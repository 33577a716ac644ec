"""READMEs of the templates, and docs/metrics.md: tables of what the templates hold."""

from __future__ import annotations

from collections.abc import Iterable

from .items import AGENT_DESCRIPTION, AGENT_NAME
from .model import Metric, Rule, Template, Trigger
from .naming import AGENT_AVAILABLE, item_key, readable, row_key, rule_key, title
from .parts import fields_of

GENERATED = "<!-- Made by `make templates`: change zabbix_templates/generator instead. -->\n\n"
"""What generated pages begin with, below their title."""


def template_page(template: Template) -> str:
    """Return a template's README, in the order of Zabbix's own."""
    way = template.way
    parts = [
        f"# {way.name}\n\n",
        GENERATED,
        f"## Overview\n\n{way.overview}\n\n",
        _requirements(way.directory),
        f"## Setup\n\n{way.setup}\n\n",
        _MACROS,
        table(
            ("Macro", "Default", "Meaning"),
            (
                (
                    f"`{each.without_context()}`",
                    _code(each.value),
                    each.description + (" Context: the row's id." if each.contextual else ""),
                )
                for each in template.macros
            ),
        ),
        "\n## Items\n\n",
        table(
            ("Name", "Key", "Meaning"),
            [("Get sockets", f"`{way.master_key}`", "The document, from which all else is taken.")]
            + [(AGENT_NAME, f"`{item_key(AGENT_AVAILABLE, None)}`", AGENT_DESCRIPTION)] * way.polled
            + [
                (each.name, f"`{item_key(each.key, None)}`", each.description)
                for each in template.metrics
            ],
        ),
        "\n## Triggers\n\n",
        _triggers(template.triggers, None),
        *(_rule(rule) for rule in template.rules),
        "\n## Dashboard\n\n",
        "*Sockets*, of five pages: overview, listeners, collector, quality, traffic.\n",
    ]
    return "".join(parts)


def _requirements(name: str) -> str:
    return (
        "## Requirements\n\n"
        f"Zabbix 6.0 and later: import `{name}-6.0.yaml` into 6.0, 6.2 and 6.4, and\n"
        f"`{name}-7.0.yaml` into 7.0 and later; both hold the same items. On the host:\n"
        "zabbix-sockets.\n\n"
        "## Tested versions\n\nServers and agents of Zabbix 6.0 and 7.0.\n\n"
    )


_MACROS = """\
## Macros

A macro with a context takes another value for some rows: `{$SOCKETS.CLOSE_WAIT.MIN:"java"}`,
`{$SOCKETS.GONE.CONTROL:regex:":8080$"}`. The context is the row's id: the process's name, the
listener (`tcp/0.0.0.0:443`), the upstream (`nginx>tcp/192.0.2.5:5432`).

"""


def _rule(rule: Rule) -> str:
    macros = ", ".join(f"`{macro}`" for macro in fields_of(rule))
    filters = " ".join(
        f"{each.macro} {'not ' if each.negated else ''}`{each.pattern}`;"
        for each in rule.conditions
    )
    overrides = "".join(
        f"- {each.name}: "
        + ", ".join(
            f"{condition.macro} matches `{condition.pattern}`" for condition in each.conditions
        )
        + (" adds" if each.discover else " leaves out")
        + f" {_targets(each.items, each.triggers, each.graphs)}\n"
        for each in rule.overrides
    )
    return (
        f"\n## {rule.name}\n\n{rule.description} Key `{rule_key(rule)}`; macros {macros}.\n"
        f"Filter: {filters.removesuffix(';')}.\n\n"
        f"Overrides:\n\n{overrides}\n"
        f"### Item prototypes\n\n"
        + table(
            ("Name", "Key", "By default", "Meaning"),
            [(title(rule, "Get row"), f"`{row_key(rule)}`", "yes", "Its row; not stored.")]
            + [
                (
                    title(rule, each.name),
                    f"`{item_key(each.key, rule)}`",
                    "yes" if each.default else "no",
                    each.description,
                )
                for each in rule.metrics
            ],
        )
        + "\n### Trigger prototypes\n\n"
        + _triggers(rule.triggers, rule)
    )


def _targets(items: str, triggers: str, graphs: str) -> str:
    kinds = (("items", items), ("triggers", triggers), ("graphs", graphs))
    return ", ".join(f"{kind} `{pattern}`" for kind, pattern in kinds if pattern)


def _triggers(triggers: Iterable[Trigger], rule: Rule | None) -> str:
    return table(
        ("Name", "Severity", "Condition", "What to look at"),
        (
            (
                each.name + ("" if each.default else " (off)"),
                each.severity.value.capitalize(),
                _code(readable(each.expression, rule)),
                each.description,
            )
            for each in triggers
        ),
    )


def metrics_page(template: Template) -> str:
    """Return the table of all metrics: what each item takes from the document."""
    lists = "".join(
        f"\n## {rule.kind.capitalize()}\n\nBelow the row of `{rule.kind}[]` with that id.\n\n"
        + _metrics(rule.metrics, rule)
        for rule in template.rules
    )
    return (
        "# Metrics\n\n" + GENERATED + "What each item of the templates takes from the document"
        " ([document.md](document.md)). Values that\ndon't change are stored once in"
        " `{$SOCKETS.HEARTBEAT}` (`sockets.map.*`: an hour), but those marked *every*.\n"
        "Metrics that are not kept by default are discovered for the rows whose id matches"
        " `{$SOCKETS.LLD.MORE.PROCESS.MATCHES}`,\n"
        "`{$SOCKETS.LLD.MORE.LISTENER.MATCHES}` or `{$SOCKETS.LLD.MORE.UPSTREAM.MATCHES}`; those of"
        " clients and of resets also\nby `{$SOCKETS.LLD.CLIENTS.MATCHES}`,"
        " `{$SOCKETS.LLD.RESETS.PROCESS.MATCHES}` and `{$SOCKETS.LLD.RESETS.UPSTREAM.MATCHES}`.\n"
        "`{$SOCKETS.LLD.FILTER...}`, `{$SOCKETS.LLD.LISTENER.EPHEMERAL}` and"
        " `{$SOCKETS.LLD.ROWS.MAX}` decide which rows are\ndiscovered at all: a template's README"
        " ([one of them](../zabbix_templates/sockets_by_zabbix_agent/README.md#macros)) has\nall"
        " macros. By default there are no upstreams, and nothing of other network namespaces, as"
        " those of containers:\n`{$SOCKETS.LLD.FILTER.NETNS.MATCHES}` is `.*` where these are to be"
        " watched, or matches the names of some.\n"
        "[costs.md](costs.md) has the values a second, and the server's cache, of an ordinary"
        " host.\n\n"
        "## Host and collector\n\n" + _metrics(template.metrics, None) + lists
    )


def _metrics(metrics: Iterable[Metric], rule: Rule | None) -> str:
    return table(
        ("Key", "Name", "Field", "Unit", "Stored", "Meaning"),
        (
            (
                f"`{item_key(each.key, rule)}`",
                each.name,
                _code(readable(each.formula, rule) or each.path),
                each.units + ("/s" if each.rate else ""),
                _stored(each),
                each.description,
            )
            for each in metrics
        ),
    )


def _stored(metric: Metric) -> str:
    if not metric.default:
        return "on demand"
    return "on change" if metric.throttled else "every"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
