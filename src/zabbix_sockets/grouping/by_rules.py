"""The grouping by process name and an administrator's rules."""

from _collections_abc import Iterable, Sequence

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, Grouping
from zabbix_sockets.grouping.rules import Facts, Rule, RuleNames, needs
from zabbix_sockets.model.snapshot import FIRST_USER_UID, Process


def _without_placeholder(name: str) -> str:
    """Return a unit's or container's name; empty for "(host)" and others that stand for none."""
    return "" if name.startswith("(") else name


def by_rules(rules: Sequence[Rule]) -> Grouping:
    """Return the grouping by *rules*; processes that none of them matches keep their names."""
    rule_names = RuleNames(rules)

    def names_of(processes: Iterable[Process]) -> list[str]:
        return rule_names.of(
            (
                Facts(
                    each.name,
                    each.command,
                    _without_placeholder(each.unit),
                    _without_placeholder(each.container),
                    each.user,
                ),
                FIRST_USER_UID if each.uid is None else each.uid,
            )
            for each in processes
        )

    return Grouping(DEFAULT_GROUPING, names_of, needs(rules) | {"uid"})
