"""Where this installation's files are, and who may be let at them."""

import pytest

from zabbix_sockets.host.own_files import opening


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("/opt", "chmod a+rx /opt"),
        ("/opt/zabbix-sockets", "chmod -R a+rX /opt/zabbix-sockets"),
        ("/opt/zabbix-sockets-2/lib", "chmod -R a+rX /opt/zabbix-sockets-2/lib"),
        ("/opt/zabbix-sockets-2", "chmod -R a+rX /opt/zabbix-sockets-2"),
        (
            "/usr/lib/zabbix-sockets/current/x y",
            "chmod -R a+rX '/usr/lib/zabbix-sockets/current/x y'",
        ),
        ("/opt/zabbix-sockets/../../etc/shadow", ""),
        ("/root", ""),
        ("/etc/shadow", ""),
        ("/", ""),
    ],
)
def test_opening(path: str, command: str) -> None:
    """Everybody may read this package's files; nobody is told to open others."""
    assert opening(path) == command
