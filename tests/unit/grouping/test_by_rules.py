"""The grouping by an administrator's rules."""

from zabbix_sockets.grouping.by_rules import by_rules
from zabbix_sockets.grouping.grouping import Groups
from zabbix_sockets.grouping.rules import MAX_NAMES, make_rule
from zabbix_sockets.model.snapshot import FIRST_OWNER, Process

from ..snapshots import snapshot_of  # noqa: TID252  # a test folder is no package

KAFKA = make_rule("kafka", {"process": "^java$", "command": r"kafka\.Kafka"})
SITE = make_rule(r"site-\1", {"command": "--site=([a-z0-9]+)"})
EACH = {
    "unit": Process(1, "a", unit="x.service"),
    "container": Process(1, "a", container="x"),
    "user": Process(1, "a", user="x"),
    "command": Process(1, "a", command="x"),
    "process": Process(1, "x"),
}


def test_names() -> None:
    """The first rule that matches gives the name; all others keep theirs."""
    members = [
        Process(1, "java", command="java kafka.Kafka --site=a"),
        Process(2, "java", command="java -jar x.jar --site=b"),
        Process(3, "java"),
        Process(4, "kafka.Kafka"),
    ]
    grouping = by_rules([KAFKA, SITE])
    assert grouping.names_of(members) == ["kafka", "site-b", "java", "kafka.Kafka"]
    assert grouping.name == "process"
    assert Groups(snapshot_of(members), grouping).instances["site-b"] == {1}


def test_each_field_reaches_its_expression() -> None:
    """An expression looks at its own field of a process, and no other."""
    for field in EACH:
        names = by_rules([make_rule("found", {field: "^x"})]).names_of(list(EACH.values()))
        assert [name == "found" for name in names] == [other == field for other in EACH]


def test_what_has_no_name_is_matched_by_nothing() -> None:
    """What stands for no unit or no container is empty for an expression."""
    nowhere = Process(1, "a", unit="(no unit)", container="(host)")
    for field in ("unit", "container"):
        assert by_rules([make_rule("found", {field: "."})]).names_of([nowhere]) == ["a"]
        assert by_rules([make_rule("found", {field: "^$"})]).names_of([nowhere]) == ["found"]


def test_needs() -> None:
    """What the rules look at is needed, and the uid, by which names are bounded."""
    assert by_rules([KAFKA]).needs == {"command", "uid"}
    rule = make_rule("x", {"unit": "a", "user": "b"})
    assert by_rules([KAFKA, rule]).needs == {"command", "unit", "user", "uid"}
    assert by_rules([make_rule("x", {"process": "a"})]).needs == {"uid"}


def test_names_of_system_users_stay() -> None:
    """Of too many names those that a system user's process has stay; an unknown user is none."""
    many = [
        Process(at, "java", uid=None if at % 2 else 1000, command=f"--site={at:03}")
        for at in range(MAX_NAMES)
    ]
    members = [*many, Process(999, "java", uid=999, command="--site=zzz")]
    names = by_rules([SITE]).names_of(members)
    assert names[-1] == "site-zzz"
    assert names[:-1] == [f"site-{at:03}" for at in range(MAX_NAMES - 1)] + ["site-*"]


def test_names_of_idle_processes_take_no_room() -> None:
    """Only processes that hold sockets have a name of the document's."""
    members = [Process(at, "java", command=f"--site={at:03}") for at in range(MAX_NAMES + 10)]
    snapshot = snapshot_of(members)
    snapshot.owners = {FIRST_OWNER: (MAX_NAMES + 9,)}
    assert list(Groups(snapshot, by_rules([SITE])).instances) == [f"site-{MAX_NAMES + 9:03}"]
