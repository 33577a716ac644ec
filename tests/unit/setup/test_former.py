"""Files of this package are recognised, whatever version brought them and whatever it is called."""

import pytest

from zabbix_sockets.host.own_files import COMMAND
from zabbix_sockets.setup.former import is_former

from .hosts import CONF

# As 0.1.0 brought it; CALL stands for the call of an environment's interpreter.
FORMER_KEYS = """# zabbix-sockets: keys for zabbix_agentd and zabbix_agent2.
#
# Copy to /etc/zabbix/zabbix_agentd.d/ (agentd: zabbix_agentd.conf.d on Debian's own
# packages) or /etc/zabbix/zabbix_agent2.d/ and restart the agent. The interpreter's
# path is where README.md installs; change it in all three lines if yours is elsewhere.
#
# -I keeps PYTHON* variables and the user's own packages out. "--" ends the options, so
# that a parameter can't become one; the agent refuses shell characters in parameters
# by itself (UnsafeUserParameters=0, the default: leave it so). Names with such characters
# are asked for as "zabbix-sockets show processes --keys" prints them.

UserParameter=sockets.get[*],CALL get -- "$1"
UserParameter=sockets.discovery[*],CALL discover -- "$1"
UserParameter=sockets.count[*],CALL count -- "$1" "$2" "$3"
"""
KEYS = "zabbix_sockets.conf"


@pytest.mark.parametrize("home", ["/opt/zabbix-sockets", "/srv/zs-2"])
def test_former_version(home: str) -> None:
    """0.1.0's file is ours, also where a person named another environment, as its comment says."""
    shipped = (CONF / KEYS).read_bytes()
    text = FORMER_KEYS.replace("CALL", f"{home}/bin/python3 -I -m zabbix_sockets").encode()
    assert is_former(KEYS, text, shipped)
    assert not is_former(KEYS, text.replace(b"get --", b"get user --"), shipped)
    assert not is_former(KEYS, text + b"\n", shipped)
    assert not is_former("zabbix-sockets-load.service", text, b"")


@pytest.mark.parametrize(
    "name", [KEYS, "systemd/zabbix-sockets-load.service", "systemd/zabbix-sockets-send.service"]
)
def test_this_version(name: str) -> None:
    """Today's file is ours with any environment's path, and not with another word."""
    shipped = (CONF / name).read_bytes()
    plain = name.rpartition("/")[2]
    other = shipped.replace(COMMAND.encode(), b"/opt/a/bin/python3 -I -m zabbix_sockets")
    assert other != shipped
    assert is_former(plain, other, shipped)
    assert not is_former(plain, other.replace(b"-m zabbix_sockets", b"-m evil"), shipped)
