"""What a template is made of, before it is YAML of one version of Zabbix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from zabbix_sockets.document.document import ROWS

Object = dict[str, object]
"""A part of a template as Zabbix imports it."""


class Kind(Enum):
    """How Zabbix stores a value."""

    UNSIGNED = "UNSIGNED"
    FLOAT = "FLOAT"
    CHAR = "CHAR"
    TEXT = "TEXT"


@dataclass(frozen=True)
class Metric:
    """A figure of the document, or of one row of it, and the item that keeps it."""

    key: str
    """Behind the prefix of its list: `tcp.established` of `sockets.process.`."""
    path: str
    """JSONPath below the document, or below the row."""
    name: str
    description: str
    kind: Kind = Kind.UNSIGNED
    """Said of a text of several lines alone; of others by the field: see fields.py."""
    default: bool = True
    """Discovered without being asked for; of host metrics all are."""
    throttled: bool = True
    """Unchanged values are discarded until the heartbeat."""
    hourly: bool = False
    """The heartbeat is an hour: no alarm looks at it."""
    script: str = ""
    """JavaScript behind the JSONPath, where no step of Zabbix's own does it."""
    inner: str = ""
    """A second JSONPath, within what the first one found."""
    formula: str = ""
    """An expression of the row's other items, `<totals.failed>`, instead of a path: the server
    calculates it. Where it can't, as where it would divide by 0, nothing is stored.
    """
    otherwise: str | None = None
    """What is stored where the last JSONPath finds nothing; None: nothing is stored."""
    history: str = "7d"
    """How long values are kept."""
    component: str = "network"
    """Of a metric of the host: the tag by which people find it."""
    units: str = ""
    """From here on what the field's description says."""
    rate: bool = False
    """A counter, kept as its change per second."""
    multiplier: str = ""
    """By which the field is multiplied, to be of Zabbix's base units: 0.000001 for _us."""
    yes_no: bool = False
    """1 and 0 are yes and no."""


@dataclass(frozen=True)
class Macro:
    """A user macro of the template; with *contextual* a context (an id) may follow its name."""

    name: str
    value: str
    description: str
    contextual: bool = False

    def __str__(self) -> str:
        """Return the macro as expressions and names use it."""
        return f"{{${self.name}" + (':"{#ID}"}' if self.contextual else "}")

    def without_context(self) -> Macro:
        """Return the same macro for what has no row."""
        return replace(self, contextual=False)


class Severity(Enum):
    """What a problem means for whoever is on call."""

    INFO = "INFO"
    WARNING = "WARNING"
    AVERAGE = "AVERAGE"
    HIGH = "HIGH"


@dataclass(frozen=True)
class Trigger:
    """An alarm.

    In its expressions `<tcp.established>` is the item of the row, or of the host where it has no
    row, and `<host/complete>` always the host's. In *event_name* and *now* it is the value of an
    item of the expression, `<tcp.established:2>` the same with two decimals. In *event_name* alone
    `<tcp.established of 5m>` is the greatest of that time, and `<?worst_remote>` the last value of
    any item of the row or host.
    """

    id: str
    """What its uuid is made of: never changes."""
    name: str
    event_name: str
    severity: Severity
    expression: str
    description: str
    scope: str
    now: str = ""
    """Operational data: the figures as they are when somebody looks."""
    recovery: str = ""
    depends_on: tuple[str, ...] = ()
    """Ids of the triggers that silence this one: of the same row, or `host/nodata` of the host."""
    default: bool = True
    manual_close: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a graph."""

    key: str
    color: str
    right_axis: bool = False
    peaks: bool = False
    """Where a pixel stands for many values, their maximum is drawn, not their average."""


@dataclass(frozen=True)
class Graph:
    """A classic graph of items of the host, or of one row; its axes begin at 0."""

    name: str
    lines: tuple[Line, ...]
    percent: bool = False
    """The axis ends at 100, so that graphs can be compared at a glance."""


@dataclass(frozen=True)
class Condition:
    """A filter of a discovery rule or of an override: a macro and a regular expression."""

    macro: str
    pattern: str
    negated: bool = False


@dataclass(frozen=True)
class Override:
    """What changes for the rows that *conditions* select: names of prototypes, on or off."""

    name: str
    conditions: tuple[Condition, ...]
    discover: bool
    items: str = ""
    """Regular expression on the names of item prototypes; empty: none."""
    triggers: str = ""
    graphs: str = ""


def all_metrics(macro: Macro) -> Override:
    """Return the override that discovers every metric of the rows whose ids match *macro*."""
    return Override("All metrics", (Condition("{#ID}", str(macro)),), discover=True, items=".*")


@dataclass(frozen=True)
class Rule:
    """A discovery rule: one list of the document."""

    kind: str
    """The list: processes, listeners, upstreams."""
    name: str
    title: str
    """Of one row, before its metrics: `Process {#PROCESS}`."""
    description: str
    rows: str
    """JSONPath of the rows that discovery is offered."""
    metrics: tuple[Metric, ...]
    triggers: tuple[Trigger, ...]
    graphs: tuple[Graph, ...]
    conditions: tuple[Condition, ...]
    overrides: tuple[Override, ...]
    tags: tuple[tuple[str, str], ...]
    label: str = ""
    """JavaScript of a further field of the row, `label`, for {#LABEL}."""
    place: str = ""
    """The same of `place`, for {#PLACE}."""

    @property
    def singular(self) -> str:
        """What one row is called in keys."""
        return ROWS[self.kind].SINGULAR


@dataclass(frozen=True)
class Way:
    """How the document comes to the server: a template of its own."""

    directory: str
    name: str
    item_type: str
    master_key: str
    polled: bool
    """The server or the agent asks: the item may become unsupported, and the agent be down."""
    overview: str
    setup: str


@dataclass(frozen=True)
class Template:
    """One template, the same for every version of Zabbix."""

    way: Way
    metrics: tuple[Metric, ...]
    triggers: tuple[Trigger, ...]
    graphs: tuple[Graph, ...]
    rules: tuple[Rule, ...]
    macros: tuple[Macro, ...]
