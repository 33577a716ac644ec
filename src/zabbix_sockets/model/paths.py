"""Paths and names on a host that all parts of the product agree on."""

CONFIG = "/etc/zabbix/zabbix-sockets.toml"
"""The path of the configuration file, which need not be there."""

PINS = "/run/zabbix-sockets"
"""The folder of the pinned BPF iterators: a bpffs of their own, since /sys/fs/bpf is root's
alone."""

PINS_GROUP = "zabbix"
"""The group that may read the pinned iterators, if no other is named."""

SYSTEM_PATH = (
    *("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"),
    *("/sbin", "/bin"),
)
"""The folders of the system's programs: systemd's default for $PATH of a service."""

SPOOL_FOLDER, SPOOL_FILE = "/var/lib/zabbix-sockets", "spool.sqlite"
"""The StateDirectory= of the unit that pushes, and the file of documents that wait there."""

STATE_FOLDER = "/var/lib/zabbix-sockets"
"""The beginning of the paths that state_folder() returns."""


def state_folder(uid: int) -> str:
    """Return the path of the folder in which a user's calls keep what is to outlive a boot.

    It is the user's; for the users of agents `setup` makes it.
    """
    return f"{STATE_FOLDER}-{uid}"
