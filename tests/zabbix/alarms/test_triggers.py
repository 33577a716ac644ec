"""Every trigger of the template fires and recovers on the server, when and as it should."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise
from typing import NamedTuple

import pytest
from pyzabbix.api import ZabbixAPIException

from zabbix_templates.generator.model import Severity, Trigger
from zabbix_templates.generator.naming import HOST as OF_HOST
from zabbix_templates.generator.templates import TEMPLATES

from ..documents import Row  # noqa: TID252  # a test folder is no installed package
from ..programs import wait_for  # noqa: TID252
from .case import BEFORE, DOCUMENTS, MINUTES, Case, Expected
from .cases import CASES, ONE_CAUSE, ROWS
from .conftest import Lab, say_something
from .host_cases import EXPECTED, LENIENT, host_document, rows
from .replay import Problem, Replay, settle

pytestmark = [pytest.mark.zabbix, pytest.mark.short_form("7.0*")]

HOST = "host"
NODATA = (HOST, "nodata")
ELSEWHERE = {NODATA, (HOST, "collector_fails"), ("listeners", "new")}
"""Alarms on what comes instead of a document: below, and in test_zeros and test_silence; and on
what is discovered: in test_new_listeners."""

TEMPLATE = next(each for each in TEMPLATES if each.way.item_type == "TRAP")
RULES = {rule.kind: rule for rule in TEMPLATE.rules}
TRIGGERS: dict[tuple[str, str], Trigger] = {
    (kind, trigger.id): trigger
    for kind, triggers in (
        (HOST, TEMPLATE.triggers),
        *((rule.kind, rule.triggers) for rule in TEMPLATE.rules),
    )
    for trigger in triggers
}
SEVERITIES = {Severity.INFO: 1, Severity.WARNING: 2, Severity.AVERAGE: 3, Severity.HIGH: 4}


def control_of(trigger: Trigger) -> str:
    """Return the macro that silences a trigger, without braces."""
    (found,) = set(re.findall(r"\{\$(SOCKETS\.[A-Z_.]+\.CONTROL)", trigger.expression))
    return str(found)


HEARTBEAT = 5
"""Minutes by which a value that doesn't change may be late."""

MACROS = {
    "{$SOCKETS.LLD.FILTER.UPSTREAM.MATCHES}": ".*",
    "{$SOCKETS.LLD.USUAL.MATCHES}": "^(usual|small) ",
    "{$SOCKETS.LLD.FILTER.NETNS.MATCHES}": ".*",
    "{$SOCKETS.LLD.RESETS.PROCESS.MATCHES}": "^reset",
    "{$SOCKETS.LLD.RESETS.UPSTREAM.MATCHES}": "^reset",
    "{$SOCKETS.LLD.CLIENTS.MATCHES}": ":80(19|2[0234])$",
    "{$SOCKETS.LLD.GONE.MATCHES}": "^tcp/127[.]0[.]0[.]|@web$",
    "{$SOCKETS.PARTIAL.CONTROL}": "1",
    "{$SOCKETS.ESTAB_RESETS.CONTROL}": "1",
    "{$SOCKETS.NODATA.CONTROL}": "0",  # of now, which a replay is not
}

PARTS = (66, 80, 155, 215, 251, 258, 263, 316)
"""Minutes before which all has to be done: what a trigger depends on is not asked for the time of
a value, but for what it is when the value is looked at. And where one item is half an hour ahead,
it ends a problem that the other one's values raise anew: so none ends in the part in which it is
still raised (155 and 316, of alarms on bursts)."""

SHARES: tuple[tuple[Case, ...], ...] = (
    tuple(case for case in ROWS if case.kind == "listeners"),
    tuple(case for case in ROWS if case.kind == "processes" or case in ONE_CAUSE),
    tuple(case for case in ROWS if case.kind == "upstreams" and case not in ONE_CAUSE),
)
"""Each has a host of its own: what a document takes of a server grows with the square of its rows,
as each item looks for its own. The figures of the host itself are the same on all three; what comes
of them is looked at on that of listeners, as some alarms of the host look at these, too."""

ALL_OPEN = 163
"""A minute in which a problem of each row is open."""

CONTROLS = {f"{{${control}}}": "0" for control in map(control_of, TRIGGERS.values())}
"""What silences all."""

Figure = tuple[Case | None, Expected]
FIGURES: list[Figure] = [(None, each) for each in EXPECTED]
FIGURES += [(case, each) for case in CASES for each in case.expected]


def name_of(figure: Figure) -> str:
    """Return what a test with that figure is called."""
    case, expected = figure
    return f"{case.name}-{expected.trigger}" if case else expected.trigger


def key_of(figure: Figure) -> tuple[str, str]:
    """Return what the trigger is found by."""
    case, expected = figure
    return case.kind if case else HOST, expected.trigger


def full_name(kind: str, trigger: str, row_id: str) -> str:
    """Return the name of a trigger of the host, or of a row."""
    return f"{title(kind, row_id)}: {TRIGGERS[kind, trigger].name}"


def title(kind: str, row_id: str) -> str:
    """Return what stands before all names of a row, or of the host."""
    if kind == HOST:
        return "Sockets"
    return re.sub(r"\{#[A-Z]+\}", lambda _: row_id, RULES[kind].title)


def row_macros() -> dict[str, str]:
    """Return the macros that silence the second row of each case, and tune the third."""
    macros: dict[str, str] = {}
    for case in CASES:
        for row_id in case.ids:
            macros |= {f'{{$SOCKETS.{name}:"{row_id}"}}': value for name, value in case.own.items()}
        for silenced in case.ids[1:2]:
            for expected in case.expected:
                control = control_of(TRIGGERS[case.kind, expected.trigger])
                macros[f'{{${control}:"{silenced}"}}'] = "0"
        for tuned in case.ids[2:]:
            macros |= {f'{{$SOCKETS.{name}:"{tuned}"}}': each for name, each in case.tuned.items()}
    return macros


class Share(NamedTuple):
    """A host, and the cases whose rows it has."""

    replay: Replay
    cases: tuple[Case, ...] = ROWS

    def document(self, minute: int) -> Row:
        """Return its document of that minute: its rows, and the figures of every host."""
        return host_document(minute, rows(minute, self.cases))


def tell_all(shares: Sequence[Share], last: int) -> None:
    """Tell the documents of hosts, up to that minute, and return when all is settled."""
    server = shares[0].replay.server
    for share in shares:
        share.replay.tell([(BEFORE[0], share.document(BEFORE[0]))])
    settle(server)
    server.reload()
    for begin, end in pairwise((BEFORE[0], *PARTS, MINUTES.stop)):
        part = [minute for minute in DOCUMENTS if begin <= minute < end and minute <= last]
        for share in shares if part else ():
            share.replay.tell((minute, share.document(minute)) for minute in part)
        settle(server)


@pytest.fixture(scope="module")
def shares(lab: Lab) -> list[Share]:
    """The hosts on which all of it has happened."""
    macros = MACROS | row_macros()
    shares = [Share(lab.replay(len(MINUTES), macros), cases) for cases in SHARES]
    tell_all(shares, MINUTES[-1])
    return shares


@pytest.fixture(scope="module")
def problems(shares: list[Share]) -> list[Problem]:
    """All problems of rows, and those of the first host itself."""
    first, *others = (share.replay.problems() for share in shares)
    return first + [each for found in others for each in found if not is_of_host(each)]


def is_of_host(problem: Problem) -> bool:
    """Whether a problem is the host's own, and not a row's."""
    return problem.trigger.startswith(f"{title(HOST, '')}: ")


OF_LISTENERS = {
    full_name(HOST, trigger, "")
    for trigger in ("listen_overflows", "listen_drops", "udp_rcvbuf_errors")
}
"""They are silent where a listener's own alarm tells of it."""


def test_hosts_alarms_are_the_same(shares: list[Share]) -> None:
    """Whatever rows a host has, it has the same problems itself, but for those of listeners."""
    first, *others = (
        Counter(
            each.trigger
            for each in share.replay.problems()
            if is_of_host(each) and each.trigger not in OF_LISTENERS
        )
        for share in shares
    )
    assert first
    assert [(first - found, found - first) for found in others] == [({}, {})] * len(others)


def test_every_trigger_has_a_case() -> None:
    """Whoever adds a trigger also says what makes it fire and recover."""
    assert {key_of(figure) for figure in FIGURES} | ELSEWHERE == set(TRIGGERS)


def test_cases_have_rows_of_their_own() -> None:
    """No two cases make a row of the same id, which would be one item's with both figures."""
    assert sum(map(len, SHARES)) == len(ROWS)
    ids = [(case.kind, row_id) for case in ROWS for row_id in case.ids]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("figure", FIGURES, ids=name_of)
def test_fires_and_recovers(figure: Figure, problems: list[Problem]) -> None:
    """It fires once, after its window and not before; its name says the figure; it recovers."""
    case, expected = figure
    kind, trigger = key_of(figure)
    row_id = case.ids[0] if case else ""
    (problem,) = (each for each in problems if each.trigger == full_name(kind, trigger, row_id))
    assert re.fullmatch(f"{re.escape(title(kind, row_id))}: {expected.name}", problem.name)
    assert problem.severity == SEVERITIES[TRIGGERS[kind, trigger].severity]
    assert expected.opens <= problem.opened <= expected.opens + HEARTBEAT
    assert problem.closed is not None
    assert abs(problem.closed - expected.closes) <= HEARTBEAT


def test_nothing_else_fires(problems: list[Problem]) -> None:
    """No row that is silenced, has another threshold or is no problem; and nothing twice."""
    wanted = [full_name(*key_of(each), each[0].ids[0] if each[0] else "") for each in FIGURES]
    told = Counter(each.trigger for each in problems)
    assert not [each for each in problems if told[each.trigger] > wanted.count(each.trigger)]
    assert sorted(told.elements()) == sorted(wanted)


def test_names_are_complete(problems: list[Problem]) -> None:
    """Each macro of an event's name has a value."""
    assert not [each.name for each in problems if "{" in each.name or "UNKNOWN" in each.name]


def test_triggers_are_known(shares: list[Share]) -> None:
    """At the end no trigger lacks a value that it asks for."""
    triggers = [each for share in shares for each in share.replay.triggers()]
    assert not [each for each in triggers if each["error"] or each["state"] != "0"]


def test_dependencies(shares: list[Share]) -> None:
    """Each trigger is silent while the worse one of its own row or host is raised."""
    worse, always = {}, set()
    for (kind, trigger), each in TRIGGERS.items():
        ids = [row_id for case in ROWS if case.kind == kind for row_id in case.ids]
        for row_id in ids if kind != HOST else [""]:
            if each.default and each.depends_on and not row_id.startswith("udp/"):
                always.add(full_name(kind, trigger, row_id))
            worse[full_name(kind, trigger, row_id)] = {
                full_name(HOST, on.removeprefix(OF_HOST), "")
                if on.startswith(OF_HOST)
                else full_name(kind, on, row_id)
                for on in each.depends_on
            }
    found = [share.replay.triggers(selectDependencies=["description"]) for share in shares]
    for triggers in found:
        depends = {
            each["description"]: {on["description"] for on in each["dependencies"]}
            for each in triggers
        }
        assert depends == {name: worse[name] for name in depends}
    assert always <= {each["description"] for triggers in found for each in triggers}


@pytest.mark.short_form("7.0-silenced")
@pytest.mark.parametrize("macros", [CONTROLS, LENIENT], ids=["silenced", "lenient"])
def test_macros_of_the_host(macros: dict[str, str], lab: Lab) -> None:
    """The triggers of the host itself are silenced, or have other thresholds, by its macros."""
    replay = lab.replay(len(MINUTES), MACROS | macros)
    replay.play((minute, host_document(minute, {})) for minute in MINUTES)
    assert replay.history()
    assert not replay.problems()


@pytest.mark.short_form
def test_open_problems_are_silenced(lab: Lab) -> None:
    """Control macros end problems that are open, and one may be closed by hand."""
    replay = lab.replay(ALL_OPEN + HEARTBEAT, MACROS)
    share = Share(replay)
    tell_all([share], ALL_OPEN)
    still = {each.trigger: each.eventid for each in replay.problems() if each.closed is None}
    wanted = [
        full_name(*key_of((case, expected)), row_id)
        for case, expected in FIGURES
        if expected.opens <= ALL_OPEN < expected.closes
        for row_id in (case.ids if case else [""])
    ]
    assert set(still) == set(wanted)
    close_by_hand(replay, still)
    replay.set_macros(MACROS | CONTROLS)
    later = range(ALL_OPEN + 1, ALL_OPEN + HEARTBEAT + 1)
    replay.play((minute, share.document(minute)) for minute in later)
    assert not [each for each in replay.problems() if each.closed is None]


def close_by_hand(replay: Replay, problems: Mapping[str, str]) -> None:
    """Check that only what is gone may be closed by hand: it may be so on purpose."""
    gone = {
        full_name("listeners", "gone", row_id)
        for case in CASES
        if case.expected[0].trigger == "gone"
        for row_id in case.ids
    }
    assert gone <= set(problems)
    for name, eventid in problems.items():
        allowed = nullcontext() if name in gone else pytest.raises(ZabbixAPIException)
        with allowed:
            replay.server.api.event.acknowledge(eventids=eventid, action=1)
    wait_for(lambda: all(each.closed for each in replay.problems() if each.trigger in gone))


def test_no_document_comes(lab: Lab) -> None:
    """Nothing comes for a while: it fires, and recovers with the next document."""
    nodata = lab.nodata
    wait_for(lambda: len(nodata.problems()) == 1)
    (problem,) = nodata.problems()
    assert problem.trigger == full_name(*NODATA, "")
    assert problem.name == "Sockets: No document of zabbix-sockets comes, for 30s now"
    assert problem.severity == SEVERITIES[TRIGGERS[NODATA].severity]
    say_something(nodata)
    wait_for(lambda: nodata.problems()[0].closed is not None)
