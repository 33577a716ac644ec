"""What happens on a host that is well, and of which no alarm may come."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import netns

from . import daemons
from .actors import acting
from .daemons import Daemon
from .hosts import Watched
from .machine import HOST, Machine


@dataclass(frozen=True, slots=True)
class Services:
    """The daemons of an ordinary host, and who uses them."""

    machine: Machine
    nginx: Daemon
    redis: Daemon
    haproxy: Daemon
    watched: list[Watched] = field(default_factory=list)
    """The hosts that this machine is."""

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """All of them."""
        return self.nginx, self.redis, self.haproxy


def services(machine: Machine) -> Services:
    """Start the daemons."""
    folder = machine.folder
    nginx = machine.run(daemons.nginx(folder / "nginx-shop", 8090))
    redis = machine.run(daemons.redis(folder / "redis-shop", 6390))
    haproxy = machine.run(daemons.haproxy(folder / "haproxy-shop", 8091, "127.0.0.1:8090"))
    return Services(machine, nginx, redis, haproxy)


PROCESSES = ("nginx-shop", "redis-shop", "haproxy-shop")
LISTENERS = ("tcp/0.0.0.0:8090", "tcp/0.0.0.0:6390", "tcp/0.0.0.0:8091")


def reload_nginx(services: Services) -> None:
    """Three times."""
    for _ in range(3):
        services.nginx.reload()


def upgrade_nginx(services: Services) -> None:
    """By USR2 and QUIT."""
    services.nginx.upgrade()


def restart_services(services: Services) -> None:
    """One after the other, within two seconds where the machine is not busy."""
    for daemon in services.daemons:
        daemon.stop()
        daemon.start()


def reboot(services: Services) -> None:
    """The agents come first, and the daemons when documents without them have come."""
    for daemon in services.daemons:
        daemon.stop()
    for host in services.watched:
        host.stop()
    begun = time.time()
    for host in services.watched:
        host.start()
    for host in services.watched:
        host.wait_for_document(begun)
    for daemon in services.daemons:
        daemon.start()


def short_jobs(services: Services) -> None:
    """500 processes of other names, which ask for a page and end."""
    services.machine.process("jobs").do(f"jobs {HOST} 8090 /page 500")


def rotate_logs(services: Services) -> None:
    """As logrotate does."""
    log = services.nginx.folder / "access.log"
    log.rename(log.with_suffix(".1"))
    services.nginx.main().send_signal(signal.SIGUSR1)


def requests(services: Services) -> None:
    """200 requests a second from another machine, through haproxy; they go on."""
    client = services.machine.other_side("shop-client")
    client.do(f"requests {HOST} 8091 /page 100", f"requests {HOST} 8090 /page 100")


def scan_ports(services: Services) -> None:
    """Somebody tries each port of loopback."""
    services.machine.process("scanner").do("knock 127.0.0.1 1 65535")


def namespaces(services: Services) -> None:
    """30 network namespaces with a server each come and go."""
    names = [f"trial-{number}" for number in range(30)]
    with netns.named(*names), ExitStack() as stack:
        for name in names:
            within = ("nsenter", f"--net={netns.path_of(name)}")
            actor = stack.enter_context(acting(services.machine.folder, name, within))
            actor.do("listen 0.0.0.0 80 10")


LIFE: tuple[Callable[[Services], None], ...] = (
    requests,
    reload_nginx,
    upgrade_nginx,
    restart_services,
    rotate_logs,
    short_jobs,
    scan_ports,
    namespaces,
    reboot,
)
SHORT = (reload_nginx, upgrade_nginx, restart_services, short_jobs)
