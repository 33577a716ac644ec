"""AllowKey and DenyKey: the first rule that matches decides."""

from __future__ import annotations

import pytest

from zabbix_sockets.check.access import ALLOW, DENY, KeyRule, deciding

# By the table of Zabbix's manual ("Restricting agent checks"), and of our own keys;
# tests/zabbix/test_check.py asks agents.
MATCHES = [
    ("*", "sockets.get", True),
    ("*", "sockets.get[process]", True),
    ("**", "sockets.get[process]", True),
    ("sockets.get", "sockets.get", True),
    ("sockets.get", "sockets.get[]", False),
    ("sockets.get", "sockets.get[process]", False),
    ("sockets.get[]", "sockets.get[]", True),
    ("sockets.get[]", "sockets.get", False),
    ("sockets.get[]", "sockets.get[process]", False),
    ("sockets.get[*]", "sockets.get[process]", True),
    ("sockets.get[*]", "sockets.get[]", True),
    ("sockets.get[*]", "sockets.get", False),
    ("sockets.*", "sockets.get", True),
    ("sockets.*", "sockets.get[process]", False),
    ("sockets.*[*]", "sockets.get[process]", True),
    ("*.get[*]", "sockets.get[process]", True),
    ("socket.*[*]", "sockets.get[process]", False),
    ("sockets.count[nginx,*]", "sockets.count[nginx,tcp,listen]", True),
    ("sockets.count[nginx,*]", "sockets.count[nginx]", True),
    ("sockets.count[nginx,*]", "sockets.count[ssh,tcp]", False),
    ("sockets.count[nginx,*,*]", "sockets.count[nginx,tcp]", True),
    ("sockets.count[ng*x]", "sockets.count[nginx]", True),
    ("sockets.count[ng*x]", "sockets.count[nginx,tcp]", False),
    ("sockets.count[*,tcp]", "sockets.count[nginx,tcp]", True),
    ("sockets.count[*,tcp]", "sockets.count[nginx]", False),
    ('sockets.count["a,b",*]', 'sockets.count["a,b",tcp]', True),
    ('sockets.count["a,b"]', "sockets.count[a,b]", False),
    ("sockets.count[ nginx]", "sockets.count[nginx]", True),
    ("vfs.file.contents[*passwd*]", "vfs.file.contents[/etc/passwd]", True),
    ("vfs.file.contents[*passwd*]", "vfs.file.contents[/etc/passwd,utf8]", False),
]


@pytest.mark.parametrize(("pattern", "key", "matches"), MATCHES)
def test_patterns(pattern: str, key: str, *, matches: bool) -> None:
    """A pattern matches the keys that an agent says it does."""
    rule = KeyRule(DENY, pattern)
    assert deciding(key, [rule]) == (rule if matches else None)


def test_the_first_rule_decides() -> None:
    """What is allowed before it is denied is allowed, and the other way round."""
    allow, deny = KeyRule(ALLOW, "sockets.*[*]"), KeyRule(DENY, "*")
    assert deciding("sockets.get[unit]", [allow, deny]) == allow
    assert deciding("sockets.get[unit]", [deny, allow]) == deny
    assert deciding("sockets.get", [allow, deny]) == deny


@pytest.mark.parametrize("pattern", ["", "[", "sockets.get[", "sockets.get]x", "é", "a b"])
def test_no_pattern(pattern: str) -> None:
    """What an agent doesn't take for a rule decides nothing."""
    assert deciding("sockets.get", [KeyRule(DENY, pattern)]) is None
