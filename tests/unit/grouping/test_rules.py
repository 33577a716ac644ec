"""Rules: which names they make, and how many."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.grouping.rules import (
    FIELDS,
    MAX_MATCHED,
    MAX_NAMES,
    Facts,
    Rule,
    RuleError,
    RuleNames,
    make_rule,
    needs,
)
from zabbix_sockets.model.names import MAX_LENGTH

BY_COMMAND = make_rule(r"app-\1", {"command": r"^app (.*)$"})
ANY_TEXT = st.text(
    st.characters(codec="utf-8") | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
)
HOSTILE = st.one_of(
    st.just(""), st.sampled_from(["(absent)", "{$M}", "*", "%", "a" * 200]), ANY_TEXT
)


def name(rule: Rule, facts: Facts) -> str:
    """Return the name that one rule gives to one process."""
    return RuleNames([rule]).of([(facts, 1000)])[0]


def test_without_rules() -> None:
    """Without rules each process has its own name, whatever it is."""
    facts = [(Facts("nginx"), 0), (Facts("a%20b"), 1), (Facts("nginx", "x"), 0)]
    assert RuleNames([]).of(facts) == ["nginx", "a%20b", "nginx"]
    assert needs([]) == frozenset()


@pytest.mark.parametrize("field", FIELDS)
def test_each_field(field: str) -> None:
    """An expression looks at its field, and at no other."""
    rule = make_rule("x", {field: "^wanted$"})
    facts = Facts("p", "c", "u", "k", "r")
    assert name(rule, facts) == "p"
    for other in FIELDS:
        found = name(rule, facts._replace(**{other: "wanted"}))
        assert (found == "x") == (other == field)
    assert needs([rule]) == {field} - {"process"}


def test_needs_of_all_rules() -> None:
    """What any rule looks at must be read."""
    rules = [
        make_rule("a", {"process": "a"}),
        make_rule("b", {"process": "b", "command": "b"}),
        make_rule("c", {"user": "c", "command": "c"}),
    ]
    assert needs(rules) == {"command", "user"}


def test_all_expressions_must_match() -> None:
    """A rule whose expressions don't all match leaves the process to the next ones."""
    rules = [
        make_rule("kafka", {"process": "^java$", "command": r"kafka\.Kafka"}),
        make_rule(r"tomcat-\1", {"process": "^java$", "command": r"base=/srv/(\w+)"}),
        make_rule("other-java", {"process": "^java$"}),
        make_rule("never", {"process": "^java$"}),
    ]
    facts = [
        Facts("java", "java -cp x kafka.Kafka"),
        Facts("java", "java -Dcatalina.base=/srv/shop"),
        Facts("java", "java -jar x"),
        Facts("javac", "kafka.Kafka"),
        Facts("java", "kafka.Kafka base=/srv/shop"),
    ]
    wanted = ["kafka", "tomcat-shop", "other-java", "javac", "kafka"]
    assert RuleNames(rules).of([(each, 0) for each in facts]) == wanted


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        (r"\1", "p1"),
        (r"\2-\3", "c1-c2"),
        (r"\g<2>5", "c15"),
        (r"\g<second>\g<unit>", "c2u1"),
        (r"\g<04>", "u1"),
        (r"\5.\6", "k1.r1"),
        (r"\2\2", "c1c1"),
        (r"a\\1", "a%5C1"),
        (r"[\g<1>]<x>", "[p1]%3Cx>"),
    ],
)
def test_references(template: str, wanted: str) -> None:
    """Groups are numbered through all fields in their order, however the rule is written."""
    expressions = {
        "user": "^(r.)",
        "container": "^(k.)",
        "unit": "^(?P<unit>u.)",
        "command": "^(c.)(?P<second>..)",
        "process": "^(p.)",
    }
    assert name(make_rule(template, expressions), Facts("p1", "c1c2", "u1", "k1", "r1")) == wanted


@pytest.mark.parametrize("field", ["user", "unit", "container", "process"])
def test_command_lines_of_others(field: str) -> None:
    """An expression that takes for ever for what a user writes is not tried where another fails."""
    rule = make_rule("x", {"command": "^(a+)+$", field: "^wanted$"})
    facts = Facts("p", "a" * 100 + "b")
    assert name(rule, facts) == "p"
    assert name(rule, facts._replace(command="aaa", **{field: "wanted"})) == "x"


def test_group_that_took_no_part() -> None:
    """An optional group that captured nothing is empty."""
    rule = make_rule(r"a\1b\2", {"command": "^x(y)?(z)"})
    assert name(rule, Facts("p", "xz")) == "abz"


def test_empty_name_is_the_process() -> None:
    """A name of which nothing is left is no name, and takes the place of none."""
    rule = make_rule(r"\1", {"command": "^x(.*)"})
    facts = [(Facts(f"p{number}", "x"), 1000) for number in range(MAX_NAMES + 1)]
    assert RuleNames([rule]).of([*facts, (Facts("p", "xy"), 1000)])[-2:] == [f"p{MAX_NAMES}", "y"]


def test_captured_part_is_cut() -> None:
    """Of each captured part the first 64 characters count."""
    assert name(make_rule(r"\1", {"command": "(.*)"}), Facts("p", "a" * 65)) == "a" * 64
    assert name(make_rule(r"\1", {"command": "(.*)"}), Facts("p", "\udcff" * 65)).startswith("%FF")


@pytest.mark.parametrize("field", FIELDS)
def test_matched_length(field: str) -> None:
    """What stands behind the first MAX_MATCHED characters matches nothing."""
    rule = make_rule("x", {field: "needle$"})
    hay = "-" * (MAX_MATCHED - len("needle"))
    facts = Facts("process")._replace(**{field: f"{hay}needle"})
    assert name(rule, facts) == "x"
    longer = facts._replace(**{field: f"{hay}-needle"})
    assert name(rule, longer) == longer.process


def test_names_are_safe() -> None:
    """What is captured can't break a document, and can't pass for a name of the document's own."""
    rule = make_rule(r"\1", {"command": "(.*)"})
    assert name(rule, Facts("p", "(absent)")) == "%28absent)"
    assert name(rule, Facts("p", '{$M}"')) == "%7B%24M%7D%22"
    assert name(rule, Facts("p", "\udcff")) == "%FF"


def test_as_many_names_as_may_be() -> None:
    """50 names of a rule all stay."""
    facts = [(Facts("p", f"app {number}"), 1000) for number in range(MAX_NAMES)]
    assert RuleNames([BY_COMMAND]).of(facts) == [f"app-{number}" for number in range(MAX_NAMES)]


def test_one_name_too_many() -> None:
    """Of 51 names the last by name gives way to what they have in common."""
    facts = [(Facts("p", f"app {number:02}"), 1000) for number in reversed(range(MAX_NAMES + 1))]
    names = RuleNames([BY_COMMAND]).of(facts)
    assert names == ["app-*", *(f"app-{number:02}" for number in reversed(range(MAX_NAMES)))]


def test_system_users_come_first() -> None:
    """Names that a user makes up don't crowd out those of a system user's processes."""
    system = [(Facts("p", "app z-shop"), 999), (Facts("p", "app z-mail"), 1000)]
    users = [(Facts("p", f"app a{number:03}"), 1000) for number in range(200)]
    names = RuleNames([BY_COMMAND]).of([*users, *system])
    assert names[-2:] == ["app-z-shop", "app-*"]
    assert set(names[:200]) == {"app-*", *(f"app-a{number:03}" for number in range(MAX_NAMES - 1))}
    shared = [(Facts("p", "app z-mail"), 0)]  # of one of its processes is enough
    assert RuleNames([BY_COMMAND]).of([*users, *system, *shared])[-2:] == ["app-z-mail"] * 2
    assert RuleNames([BY_COMMAND]).of([*shared, *users, *system])[-1] == "app-z-mail"


def test_bound_is_each_rules_own() -> None:
    """Another rule's names, and other processes' own, don't count."""
    rules = [BY_COMMAND, make_rule(r"srv-\1-\2", {"command": r"^srv (\w)(.*)"})]
    facts = [
        (Facts(f"p{number}", f"{kind} {number:02}"), 1000)
        for kind, count in (("app", 60), ("srv", MAX_NAMES), ("none", 60))
        for number in range(count)
    ]
    names = RuleNames(rules).of(facts)
    assert names.count("app-*") == 10
    assert len({name for name in names if name.startswith("srv")}) == MAX_NAMES
    assert names[-60:] == [f"p{number}" for number in range(60)]
    more = [*facts, (Facts("p", "srv zz"), 1000)]
    assert RuleNames(rules).of(more)[-1] == "srv-*-*"


PROCESSES = st.lists(
    st.tuples(
        st.builds(Facts, st.sampled_from(["java", "php"]), HOSTILE, user=HOSTILE),
        st.sampled_from([0, 999, 1000, 65534]),
    ),
    max_size=60,
)
NUMBERED = st.lists(
    st.tuples(
        st.integers(0, 120).map(lambda number: Facts("p", f"app {number}")),
        st.sampled_from([0, 1000]),
    ),
    max_size=400,
)
RULES = [
    BY_COMMAND,
    make_rule(r"\2\1", {"process": "^java$", "user": "(?s)(.)(.*)"}),
    make_rule(r"x-\1", {"process": "^java$", "command": "(?s)(.*)"}),
]


@given(PROCESSES)
def test_any_facts_make_bounded_names(facts: list[tuple[Facts, int]]) -> None:
    """Whatever processes say, a name made of it is safe, and there is one for each."""
    names = RuleNames(RULES).of(facts)
    assert len(names) == len(facts)
    for each in names:
        assert 1 <= len(each) <= MAX_LENGTH
        assert each.isprintable()
        assert not each.startswith("(")
        assert not set("\"'\\${}") & set(each)


@given(NUMBERED, st.randoms(use_true_random=False))
def test_order_makes_no_difference(facts: list[tuple[Facts, int]], shuffler: random.Random) -> None:
    """The same processes have the same names in any order, at most 50 and one."""
    shuffled = shuffler.sample(facts, len(facts))
    names = RuleNames(RULES).of(facts)
    assert len(names) == len(facts)
    assert sorted(zip(facts, names)) == sorted(zip(shuffled, RuleNames(RULES).of(shuffled)))
    kept = set(names) - {"app-*"}
    assert len(kept) <= MAX_NAMES
    assert ("app-*" in names) == (len({each.command for each, _ in facts}) > MAX_NAMES)
    system = {each.command.replace(" ", "-") for each, uid in facts if uid < 1000}
    if len(system) <= MAX_NAMES:
        assert system <= kept


@pytest.mark.parametrize(
    ("template", "expressions", "key", "message"),
    [
        ("", {"process": "x"}, "name", "is empty"),
        (" \t", {"process": "x"}, "name", "is empty"),
        ("a" * 65, {"process": "x"}, "name", "is longer than 64 characters"),
        ("(other)", {"process": "x"}, "name", "begins with a parenthesis"),
        ("a", {}, "", "a rule needs an expression on one of process, command,"),
        (r"\1", {"process": "x"}, "name", 'group "1", but the expressions capture nothing'),
        (r"\0", {"process": "(x)"}, "name", 'group "0", but the expressions have 1$'),
        (r"\3", {"process": "(x)", "user": "(y)"}, "name", 'group "3", .* have 1-2$'),
        (r"\12", {"process": "(x)"}, "name", 'group "12"'),
        (r"\g<b>", {"process": "(?P<a>x)"}, "name", 'group "b", but the .* have 1, a$'),
        (r"\g<>", {"process": "(?P<a>x)"}, "name", 'group ""'),
        ("\\g<\u0661>", {"process": "(x)"}, "name", 'group "\u0661"'),
        (r"\g<a", {"process": "(?P<a>x)"}, "name", "a backslash that begins no reference"),
        (r"\d", {"process": "(x)"}, "name", "a backslash that begins no reference"),
        ("\\1\\", {"process": "(x)"}, "name", "a backslash that begins no reference"),
        ("a", {"process": "(?P<x>.)", "user": "(?P<x>.)"}, "user", '"process" has a group "x" too'),
        ("a", {"user": "(?P<x>.)", "unit": "(?P<x>.)"}, "user", '"unit" has a group "x" too'),
        ("a", {"process": "(x"}, "process", r"missing \), .* \(column 1 of the expression\)"),
        ("a", {"command": "ab**"}, "command", r"multiple repeat \(column 4 of"),
        ("a", {"command": "\n\n("}, "command", r"missing \), .* \(column 3 of"),
        ("a", {"unit": "[[:alpha:]]"}, "unit", r"Possible nested set \(column 2 of"),
        ("a", {"user": "(?a)(?u)x"}, "user", "ASCII and UNICODE flags are incompatible"),
        ("a", {"user": "x{99999999999999}"}, "user", "the repetition number is too large"),
        ("a", {"user": "(" * 2000 + ")" * 2000}, "user", "too many parentheses"),
        ("a", {"process": "\bjava"}, "process", "has a backspace"),
    ],
)
def test_wrong_rules(template: str, expressions: dict[str, str], key: str, message: str) -> None:
    """What can't be understood is refused, with the key at fault."""
    with pytest.raises(RuleError, match=message) as caught:
        make_rule(template, expressions)
    assert caught.value.key == key


@given(
    st.text(max_size=80) | st.text("\\g<>a1(", max_size=12),
    st.text() | st.text("(?P<a>)[*\\", max_size=12),
)
def test_any_rule_is_right_or_refused(template: str, expression: str) -> None:
    """Whatever the texts, a rule is made that can name a process, or refused."""
    try:
        rule = make_rule(template, {"process": expression, "user": "(?P<user>.*)"})
    except RuleError:
        return
    assert 1 <= len(name(rule, Facts("java", user="root"))) <= MAX_LENGTH
