"""Each fault is one problem with the right text on each server, and ordinary life is none."""

import re

import pytest

from zabbix_templates.generator.faults import FAULTS as DESCRIBED
from zabbix_templates.generator.faults import ORDINARY

from .blindness import BLINDNESSES
from .course import BLINDNESSES_TRIED, FAULTS_TRIED, LIFE_TRIED, VERSIONS_TRIED, Trial
from .faults import FAULTS, Fault
from .hosts import TRIGGERS
from .life import LIFE

pytestmark = pytest.mark.zabbix

SEVERITIES = ("not classified", "INFO", "WARNING", "AVERAGE", "HIGH", "DISASTER")

_TITLE = r"Process \S+: |Listener \S+ \S+: |Upstream \S+: |Sockets: "

versions = pytest.mark.parametrize("version", VERSIONS_TRIED)


def test_all_is_tried() -> None:
    """What docs/alarms.md says that was tried is tried."""
    made = [each.make.__name__ for each in FAULTS]
    made += [each.make.__name__ for each in BLINDNESSES]
    assert made == [each.name for each in DESCRIBED]
    assert [each.__name__ for each in LIFE] == [each.name for each in ORDINARY]


@versions
@pytest.mark.parametrize("fault", FAULTS_TRIED, ids=lambda fault: fault.name)
def test_fault(trial: Trial, version: str, fault: Fault) -> None:
    """It is one problem: raised after the fault, with its text, and recovered once mended."""
    found = trial.of(version, fault)
    assert [(str(each.subject), each.alarm) for each in found] == [
        (str(fault.subject), fault.alarm)
    ]
    (problem,) = found
    assert re.fullmatch(rf"({_TITLE})?{fault.text}", problem.name), problem.name
    (trigger,) = (each for each in TRIGGERS[fault.subject.kind] if each.id == fault.alarm)
    assert SEVERITIES[problem.severity] == trigger.severity.name
    assert problem.opened > trial.began[fault.name]
    assert problem.closed
    assert problem.closed > trial.mended[fault.name]


@versions
def test_nothing_else(trial: Trial, version: str) -> None:
    """Each problem is that of a fault."""
    own = [each for fault in FAULTS_TRIED for each in trial.of(version, fault)]
    own += [each for blindness in BLINDNESSES_TRIED for each in trial.during(version, blindness)]
    assert [each for each in trial.problems[version] if each not in own] == []


@versions
@pytest.mark.parametrize("name", [each.__name__ for each in LIFE_TRIED])
def test_ordinary_life(trial: Trial, version: str, name: str) -> None:
    """No problem is raised while it is done, nor later until there are faults."""
    begun, _ = trial.lived[name]
    until = min(trial.began.values())
    assert [each for each in trial.problems[version] if begun <= each.opened < until] == []


@versions
def test_blindness(trial: Trial, version: str) -> None:
    """While one of them alone is at fault there is one problem, which recovers, or none."""
    for blindness in BLINDNESSES_TRIED:
        found = trial.during(version, blindness)
        wanted = [blindness.alarm] if blindness.alarm else []
        assert [each.alarm for each in found] == wanted, blindness.name
        for problem in found:
            assert re.fullmatch(rf"({_TITLE})?{blindness.text}", problem.name), problem.name
            assert problem.closed, blindness.name
            assert problem.closed > trial.mended[blindness.name]
