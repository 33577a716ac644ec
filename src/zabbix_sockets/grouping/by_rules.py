"""The grouping by process, with an administrator's rules."""

from collections.abc import Iterable, Sequence

from zabbix_sockets.grouping.grouping import DEFAULT_GROUPING, Grouping
from zabbix_sockets.grouping.rules import SYSTEM_UIDS, Facts, Names, Rule, needs
from zabbix_sockets.model.snapshot import Process


def _real(name: str) -> str:
    """Return a name, empty where it stands for having none."""
    return "" if name.startswith("(") else name


def by_rules(rules: Sequence[Rule]) -> Grouping:
    """Return the grouping; processes that no rule matches keep their names."""
    made = Names(rules)

    def names_of(processes: Iterable[Process]) -> list[str]:
        return made.of(
            (
                Facts(each.name, each.command, _real(each.unit), _real(each.container), each.user),
                SYSTEM_UIDS if each.uid is None else each.uid,
            )
            for each in processes
        )

    return Grouping(DEFAULT_GROUPING, names_of, needs(rules) | {"uid"})
