"""What each kind of gap means: the table of document.completeness, tried from end to end."""

import pytest

from zabbix_sockets.document.completeness import (
    EFFECTS,
    complete_lists,
    unread_protocols,
    warnings,
    why_unknown,
)
from zabbix_sockets.grouping.grouping import GROUPINGS, Grouping
from zabbix_sockets.model import gaps
from zabbix_sockets.model.gaps import KINDS, Gap
from zabbix_sockets.model.snapshot import LISTS

PROCESS, UNIT = GROUPINGS["process"], GROUPINGS["unit"]
RULES = Grouping("process", lambda processes: [each.name for each in processes])
ALL, GROUPS = set(LISTS), {"processes", "upstreams"}

# Of each kind: a gap, the lists that are not complete, the beginning of the warning, and why the
# number of nginx's TCP sockets is not known: by process, and by unit.
CASES: dict[str, tuple[Gap, set[str], str, tuple[str, str]]] = {
    gaps.TABLE: (
        *(Gap(gaps.TABLE, "tcp"), ALL, "timed out or approximate: tcp"),
        ("not every socket was read",) * 2,
    ),
    gaps.UNIX: (
        *(Gap(gaps.UNIX), {"processes", "listeners"}, "timed out: not every unix socket was read"),
        ("", ""),
    ),
    gaps.NAMESPACE: (
        *(Gap(gaps.NAMESPACE, netns=7), ALL, "1 network namespaces were not read to the end"),
        ("not every socket was read",) * 2,
    ),
    gaps.NAMESPACES: (
        *(Gap(gaps.NAMESPACES), ALL, "there may be network namespaces that can't be seen"),
        ("not every socket was read",) * 2,
    ),
    gaps.NAMESPACE_NAMES: (
        *(Gap(gaps.NAMESPACE_NAMES), {"listeners", "upstreams"}, "/proc hides what names some"),
        ("", ""),
    ),
    gaps.PLACES: (
        *(Gap(gaps.PLACES), ALL, "timed out: not every unit, container, user or command"),
        ("", "timed out"),
    ),
    gaps.SHORTAGE: (
        *(Gap(gaps.SHORTAGE), ALL, "no descriptor or memory was left for some names"),
        ("no descriptor or memory was left",) * 2,
    ),
    gaps.CONTAINER_NAMES: (
        *(Gap(gaps.CONTAINER_NAMES), ALL, "the names of 1 containers are not known yet"),
        ("", "the names of some containers are not known yet"),
    ),
    gaps.DENIED: (
        *(Gap(gaps.DENIED, "nginx", 2), GROUPS, "2 processes may not be inspected: that takes"),
        ("2 processes named nginx can't be inspected", "2 processes can't be inspected"),
    ),
    gaps.HIDDEN: (
        *(Gap(gaps.HIDDEN), GROUPS, "/proc hides other users' processes (hidepid)"),
        ("/proc hides other users' processes",) * 2,
    ),
    gaps.UNASKED: (
        *(Gap(gaps.UNASKED), GROUPS, "timed out: not every process was asked"),
        ("timed out",) * 2,
    ),
    gaps.FOREIGN_OWNERS: (
        *(Gap(gaps.FOREIGN_OWNERS, netns=7), GROUPS, "owners in other network namespaces"),
        ("owners in other network namespaces can't be known",) * 2,
    ),
    gaps.CGROUPS: (
        *(Gap(gaps.CGROUPS), GROUPS, "the cgroups of some owners are not known"),
        ("", "the cgroups of some owners are not known"),
    ),
    gaps.HIDDEN_NAMES: (
        *(Gap(gaps.HIDDEN_NAMES), GROUPS, "/proc hides the whole name of some processes (hidepid)"),
        ("/proc hides the whole name of some processes: the number", ""),
    ),
    gaps.HIDDEN_USERS: (
        *(Gap(gaps.HIDDEN_USERS), GROUPS, "/proc hides the user of some processes (hidepid)"),
        ("/proc hides the user of some processes: the number",) * 2,
    ),
    gaps.HIDDEN_COMMANDS: (
        *(Gap(gaps.HIDDEN_COMMANDS), GROUPS, "/proc hides the command line of some processes"),
        ("/proc hides the command line of some processes: the number",) * 2,
    ),
    gaps.UNREAD_COMMANDS: (
        *(Gap(gaps.UNREAD_COMMANDS, how_many=3), GROUPS, "3 command lines were not read, since"),
        ("some command lines were not read, since they are very long: the number",) * 2,
    ),
    gaps.STUCK_COMMANDS: (
        *(Gap(gaps.STUCK_COMMANDS), GROUPS, "a process lets whoever reads its command line wait"),
        ("no command line was read, since one lets who reads it wait", ""),
    ),
    gaps.UNDECIDED: (
        *(Gap(gaps.UNDECIDED, how_many=5), ALL, "filter: some sockets may fit or not"),
        ("filter: some sockets may fit or not",) * 2,
    ),
    gaps.ENDPOINTS: (Gap(gaps.ENDPOINTS), {"upstreams"}, "", ("", "")),
    gaps.DESCRIPTOR_LIMITS: (
        *(
            Gap(gaps.DESCRIPTOR_LIMITS),
            set(),
            "it is not known how near processes are to their limits of descriptors",
        ),
        ("", ""),
    ),
    gaps.CLIENTS: (
        *(Gap(gaps.CLIENTS), set(), "the clients of listeners were not read to the end"),
        ("", ""),
    ),
    gaps.ROWS: (Gap(gaps.ROWS, "listeners", 9), {"listeners"}, "", ("", "")),
}
OF_NAMES = {
    gaps.HIDDEN_NAMES,
    gaps.STUCK_COMMANDS,
}  # which matter where groups are named by processes alone


def incomplete(found: list[Gap], grouping: Grouping = PROCESS) -> set[str]:
    """Return the lists that are not complete."""
    return {name for name, whole in complete_lists(found, grouping).items() if not whole}


def test_every_kind_is_decided() -> None:
    """No kind is forgotten: neither by the decision nor by these tests."""
    assert set(EFFECTS) == set(KINDS) == set(CASES)
    assert len(set(KINDS)) == len(KINDS)


def test_without_gaps() -> None:
    """Where all was seen all is complete, and nothing is warned of."""
    assert complete_lists([], PROCESS) == dict.fromkeys(LISTS, True)
    assert warnings([], PROCESS) == []
    assert why_unknown([], PROCESS, "nginx", "tcp") == ""
    assert unread_protocols([]) == set()


COUNTED = (gaps.DENIED, gaps.NAMESPACE, gaps.UNREAD_COMMANDS, gaps.CONTAINER_NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_lists_and_warning(kind: str) -> None:
    """Each kind spoils the lists that may lack something, and is warned of once."""
    gap, lists, beginning, _ = CASES[kind]
    for grouping in (PROCESS, RULES, UNIT):
        concerns = grouping is not UNIT or kind not in OF_NAMES
        assert incomplete([gap], grouping) == (lists if concerns else set())
        found = warnings([gap, gap], grouping)
        if kind in COUNTED:  # they are added up
            found = [each.replace(str(2 * gap.how_many), str(gap.how_many), 1) for each in found]
        assert [each[: len(beginning)] for each in found] == [beginning] * bool(
            beginning and concerns
        )


@pytest.mark.parametrize("one", KINDS)
def test_gaps_add_up(one: str) -> None:
    """Several gaps spoil what each of them spoils, in whatever order they were found."""
    for other in set(KINDS) - {one}:
        pair = [CASES[one][0], CASES[other][0]]
        assert incomplete(pair) == incomplete(pair[::-1]) == CASES[one][1] | CASES[other][1]
        assert sorted(warnings(pair, PROCESS)) == sorted(warnings(pair[::-1], PROCESS))
        for grouping in (PROCESS, UNIT):
            reasons = {why_unknown([each], grouping, "nginx", "tcp") for each in pair}
            assert why_unknown(pair, grouping, "nginx", "tcp") in (reasons - {""} or {""})


@pytest.mark.parametrize("kind", KINDS)
def test_why_a_number_is_unknown(kind: str) -> None:
    """Each kind says whether one group's number can be known, and why not."""
    gap, _, _, (by_process, by_unit) = CASES[kind]
    for grouping, beginning in ((PROCESS, by_process), (UNIT, by_unit)):
        reason = why_unknown([gap], grouping, "nginx", "tcp")
        assert reason.startswith(beginning)
        assert bool(reason) == bool(beginning)


def test_unix_sockets_matter_to_their_own_number() -> None:
    """What was not read of them spoils no number of TCP's, nor do TCP's tables spoil theirs."""
    assert why_unknown([Gap(gaps.UNIX)], PROCESS, "nginx", "unix").startswith("not every unix")
    assert not why_unknown([Gap(gaps.UNIX)], PROCESS, "nginx", "")
    assert not why_unknown([Gap(gaps.TABLE, "tcp")], PROCESS, "nginx", "unix")


def test_which_reason_is_said() -> None:
    """Of several the one that comes first is said; a denied process first of those of sockets."""
    found = [gap for gap, *_ in CASES.values()]
    assert why_unknown(found, PROCESS, "nginx", "tcp").startswith("/proc hides the whole name")
    assert why_unknown(found, UNIT, "nginx", "tcp").startswith("/proc hides the user")
    found = [gap for gap in found if not gap.kind.startswith("hidden ")]
    assert why_unknown(found, PROCESS, "nginx", "tcp").startswith("some command lines were not")
    found = [gap for gap in found if gap.kind not in (gaps.UNREAD_COMMANDS, gaps.STUCK_COMMANDS)]
    assert why_unknown(found, PROCESS, "nginx", "tcp").startswith("2 processes named nginx")
    assert why_unknown(found, PROCESS, "sshd", "tcp").startswith("owners in other network")


def test_denied_processes_of_other_names() -> None:
    """They spoil no number of a name, but each one of a unit; so does one without a name."""
    denied = [Gap(gaps.DENIED, "sshd", 2), Gap(gaps.DENIED, "cron")]
    assert why_unknown(denied, PROCESS, "nginx", "") == ""
    assert why_unknown(denied, PROCESS, "sshd", "").startswith("2 processes named sshd can't")
    for grouping in (UNIT, RULES):
        assert why_unknown(denied, grouping, "nginx", "").startswith("3 processes can't")
    nameless = [*denied, Gap(gaps.DENIED, "")]
    reason = "/proc hides other users' processes: the number can't be known"
    assert why_unknown(nameless, PROCESS, "nginx", "") == reason
    assert why_unknown(nameless, UNIT, "nginx", "").startswith("4 processes can't")


@pytest.mark.parametrize("unread", ["tcp", "udp"])
def test_tables_of_one_protocol(unread: str) -> None:
    """They spoil the numbers of their protocol, the host's figures of it, and all lists."""
    found = [Gap(gaps.TABLE, unread), Gap(gaps.TABLE, unread)]
    assert unread_protocols(found) == {unread}
    assert incomplete(found) == ALL
    assert warnings(found, PROCESS) == [f"timed out or approximate: {unread}"]
    for protocol in ("tcp", "udp", ""):
        known = why_unknown(found, PROCESS, "nginx", protocol) == ""
        assert known == (protocol not in (unread, ""))


def test_warnings_are_in_order() -> None:
    """They have one order, whatever was found first; namespaces and processes are added up."""
    found = [
        *(Gap(gaps.TABLE, "udp"), Gap(gaps.NAMESPACE, netns=8), Gap(gaps.DENIED, "b", 2)),
        *(Gap(gaps.TABLE, "tcp"), Gap(gaps.NAMESPACE, netns=9), Gap(gaps.DENIED, "a")),
    ]
    denied, skipped, tcp, udp = warnings(found, PROCESS)
    assert denied.startswith("3 processes may not")
    assert skipped.startswith("2 network namespaces")
    assert (tcp, udp) == ("timed out or approximate: tcp", "timed out or approximate: udp")
