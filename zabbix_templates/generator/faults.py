"""Faults that were made with real programs on real servers, and the alarm that tells of each.

tests/zabbix/trial makes them, by their names here; docs/alarms.md shows them to people.
"""

from typing import NamedTuple

NO_ALARM = ("", "")


class Fault(NamedTuple):
    """A fault, and how it was made."""

    name: str
    what: str
    """As whoever is called at night would say it."""
    alarm: tuple[str, str]
    """The list of the row that it is of, or "host", and the trigger's id; or NO_ALARM."""
    made: str


FAULTS = (
    Fault(
        "close_wait_leak",
        "A server does not close what its clients have closed",
        ("processes", "close_wait_share"),
        "100 clients closed their connections, and the server kept them.",
    ),
    Fault(
        "close_wait_slow_leak",
        "A server leaks a few of its connections, again and again",
        ("processes", "close_wait_growth"),
        "Four connections a second were closed by the client and not by the server.",
    ),
    Fault(
        "young_client_leak",
        "A client that has been started just now leaks its connections",
        ("host", "unseen"),
        "A server closed 100 connections of a client a few seconds old, which kept them.",
    ),
    Fault(
        "accept_queue_full",
        "A server with a short accept queue hangs",
        ("listeners", "accept_high"),
        "A server with a backlog of 128 was stopped (SIGSTOP), and 165 clients connected.",
    ),
    Fault(
        "php_fpm_hung",
        "All children of php-fpm hang, behind a backlog that is never full",
        ("listeners", "accept_waiting"),
        "150 requests for a page that never ends, through nginx to php-fpm with 3 children and a"
        " backlog of 4096.",
    ),
    Fault(
        "php_fpm_full",
        "php-fpm hangs at a unix socket, and nobody can connect any more",
        ("listeners", "accept_high"),
        "php-fpm with a backlog of 16 was stopped (SIGSTOP), and 17 clients connected.",
    ),
    Fault(
        "gunicorn_full",
        "The same of gunicorn",
        ("listeners", "accept_high"),
        "gunicorn with a backlog of 16 was stopped (SIGSTOP), and 17 clients connected.",
    ),
    Fault(
        "postgres_full",
        "The same of postgres",
        ("listeners", "accept_high"),
        "postgres was stopped (SIGSTOP), and clients connected until they were refused.",
    ),
    Fault(
        "accepts_no_more",
        "A server has stopped accepting, and few connections wait",
        ("listeners", "accept_waiting"),
        "redis was stopped (SIGSTOP), and 25 clients connected.",
    ),
    Fault(
        "listener_gone",
        "A service does not run any more",
        ("listeners", "gone"),
        "redis was ended and not started again.",
    ),
    Fault(
        "upstream_silent",
        "An upstream is down, or a firewall drops",
        ("processes", "syn_sent"),
        "nginx passed 40 requests to an address from which nothing came back.",
    ),
    Fault(
        "chosen_upstream_silent",
        "The same, and upstreams of the process are discovered",
        ("upstreams", "syn_sent"),
        "haproxy passed 40 connections to an address from which nothing came back.",
    ),
    Fault(
        "upstream_refuses",
        "An upstream refuses connections",
        ("host", "attempt_fails"),
        "haproxy passed 60 requests a second to a port on which nobody listened.",
    ),
    Fault(
        "descriptors_out",
        "A process has no descriptors left",
        ("processes", "fds_high"),
        "A process held 252 of 256 descriptors.",
    ),
    Fault(
        "ephemeral_ports_out",
        "A client has no ports left for one destination",
        ("host", "ephemeral_high"),
        "Connections established and in TIME_WAIT took every port of a narrow range; what mended it"
        " was a wider range.",
    ),
    Fault(
        "document_truncated",
        "There are more names of processes than a document takes",
        ("host", "truncated"),
        "260 processes of other names with a socket each.",
    ),
    Fault(
        "iterators_unloaded",
        "The iterators are not loaded any more",
        ("host", "collector_degraded"),
        "`zabbix-sockets unload`; what mended it was `zabbix-sockets load`.",
    ),
    Fault(
        "no_group",
        "The agent's user is not in the group zabbix",
        ("host", "collector_degraded"),
        "The agent was started without the group, and again with it.",
    ),
    Fault(
        "broken_rules",
        "The file of rules is broken",
        ("host", "collector_fails"),
        "/etc/zabbix/zabbix-sockets.toml was no TOML.",
    ),
    Fault(
        "no_keys",
        "The agent runs, and does not know the product's keys",
        ("host", "collector_fails"),
        "The agent was started without its Include= of zabbix_sockets.conf.",
    ),
    Fault(
        "nobody_asks",
        "Nobody asks for the document",
        ("host", "nodata"),
        "The item 'Get sockets' was disabled.",
    ),
    Fault(
        "agent_stopped",
        "The agent does not run",
        NO_ALARM,
        "The agent was ended.",
    ),
)


class Ordinary(NamedTuple):
    """Something that happens on a host that is well."""

    name: str
    what: str


ORDINARY = (
    Ordinary("requests", "200 requests a second, through haproxy and to nginx"),
    Ordinary("reload_nginx", "nginx reloads its configuration, three times"),
    Ordinary("upgrade_nginx", "nginx replaces its own binary (USR2, QUIT)"),
    Ordinary("restart_services", "nginx, redis and haproxy are restarted within seconds"),
    Ordinary("rotate_logs", "logs are rotated"),
    Ordinary("short_jobs", "500 short processes, each with a connection"),
    Ordinary("scan_ports", "somebody scans all ports of loopback"),
    Ordinary("namespaces", "30 network namespaces with a server each come and go"),
    Ordinary("reboot", "a boot: the agent comes first, the daemons later"),
)
"""What raised no problem."""
