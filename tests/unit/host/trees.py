"""Trees of files that stand for hosts, as packages leave them."""

from collections.abc import Mapping
from pathlib import Path

PASSWD = """root:x:0:0:root:/root:/bin/bash
zabbix:x:110:115::/nonexistent:/usr/sbin/nologin
"""
GROUP = """root:x:0:
docker:x:120:zabbix,alice
zabbix:x:115:
"""
ACCOUNTS = {"etc/passwd": PASSWD, "etc/group": GROUP}

DEBIAN_AGENTD = {
    **ACCOUNTS,
    "lib/systemd/system/zabbix-agent.service": """[Unit]
Description=Zabbix Agent
Documentation=man:zabbix_agentd
After=network.target

[Service]
Type=simple
User=zabbix
Group=zabbix
ExecStart=/usr/sbin/zabbix_agentd --foreground
Restart=on-abnormal

[Install]
WantedBy=multi-user.target
""",
    "etc/zabbix/zabbix_agentd.conf": """# This is a configuration file for Zabbix agent daemon
### Option: PidFile
# PidFile=/tmp/zabbix_agentd.pid
PidFile=/run/zabbix/zabbix_agentd.pid
LogFile=/var/log/zabbix-agent/zabbix_agentd.log
LogFileSize=0
Server=127.0.0.1
ServerActive=127.0.0.1
# Hostname=
# Include=/usr/local/etc/zabbix_agentd.userparams.conf
Include=/etc/zabbix/zabbix_agentd.conf.d/*.conf
""",
    "etc/zabbix/zabbix_agentd.conf.d/.keep": "",
    "usr/sbin/zabbix_agentd": "",
}
"""Debian 11, 12 and 13: no -c, and a folder with a name of its own."""

DEBIAN_AGENT2 = {
    **ACCOUNTS,
    "lib/systemd/system/zabbix-agent2.service": """[Unit]
Description=Zabbix Agent 2

[Service]
Environment="DAEMON_ARGS= -c /etc/zabbix/zabbix_agent2.conf"
EnvironmentFile=-/etc/default/%p
Type=simple
KillMode=control-group
ExecStart=/usr/sbin/zabbix_agent2 -foreground $DAEMON_ARGS
ExecStop=/bin/sh -c '[ -n "$1" ] && kill -s TERM "$1"' -- "$MAINPID"
User=zabbix
Group=zabbix
""",
    "etc/zabbix/zabbix_agent2.conf": """LogFile=/var/log/zabbix/zabbix_agent2.log
Server=127.0.0.1
ServerActive=127.0.0.1
Hostname=Zabbix server
Include=/etc/zabbix/zabbix_agent2.d/*.conf
ControlSocket=/tmp/agent.sock
Include=./zabbix_agent2.d/plugins.d/*.conf
""",
    "etc/zabbix/zabbix_agent2.d/plugins.d/redis.conf": "# Plugins.Redis.KeepAlive=300\n",
    "usr/sbin/zabbix_agent2": "",
}

ZABBIX_COM_AGENTD = {
    **ACCOUNTS,
    "usr/lib/systemd/system/zabbix-agent.service": """[Unit]
Description=Zabbix Agent
After=syslog.target
After=network.target

[Service]
Environment="CONFFILE=/etc/zabbix/zabbix_agentd.conf"
EnvironmentFile=-/etc/sysconfig/zabbix-agent
Type=forking
Restart=on-failure
PIDFile=/run/zabbix/zabbix_agentd.pid
KillMode=control-group
ExecStart=/usr/sbin/zabbix_agentd -c $CONFFILE
ExecStop=/bin/sh -c '[ -n "$1" ] && kill -s TERM "$1"' -- "$MAINPID"
RestartSec=10s
User=zabbix
Group=zabbix
""",
    "etc/zabbix/zabbix_agentd.conf": """PidFile=/run/zabbix/zabbix_agentd.pid
LogFile=/var/log/zabbix/zabbix_agentd.log
LogFileSize=0
Server=127.0.0.1
ServerActive=127.0.0.1
Hostname=Zabbix server
Include=/etc/zabbix/zabbix_agentd.d/*.conf
""",
    "etc/zabbix/zabbix_agentd.d/.keep": "",
    "usr/sbin/zabbix_agentd": "",
}
"""zabbix.com's packages for Red Hat; those for Debian have /etc/default instead of sysconfig."""


def plant(root: Path, *trees: Mapping[str, str]) -> str:
    """Write the files of *trees* below *root*, and return it as the code takes it."""
    for tree in trees:
        for path, text in tree.items():
            whole = root / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(text)
    return str(root)
