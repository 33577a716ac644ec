"""The faults, made with real programs: each prepared, then there, then mended."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zabbix_templates.generator.faults import FAULTS as DESCRIBED
from zabbix_templates.generator.faults import Fault as Described

from ..programs import wait_for  # noqa: TID252  # a test folder is no installed package
from . import daemons
from .hosts import Subject
from .machine import HOST, OUTSIDE, PORTS, SILENT, Machine, set_port_range

Course = Iterator[None]
"""Yields when all is prepared, when the fault is there, and when it is mended."""


def described(name: str) -> Described:
    """Return what docs/alarms.md says of a fault."""
    (found,) = (each for each in DESCRIBED if each.name == name)
    return found


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the one problem that the server raises for it."""

    make: Callable[[Machine], Course]
    row: str
    """The id of the row that it is of; empty for the host itself."""
    text: str
    """A regular expression for all of the problem's name, without the title of the row."""
    also: tuple[Subject, ...] = ()
    """Other rows of its programs, on which there may be no problem."""
    short: bool = False
    """It is tried by `make test`, too."""
    alone: bool = False
    """It silences others, so it is tried after them."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.make.__name__

    @property
    def subject(self) -> Subject:
        """What the problem is of."""
        return Subject(described(self.name).alarm[0], self.row)

    @property
    def alarm(self) -> str:
        """The id of the trigger in the generator."""
        return described(self.name).alarm[1]

    @property
    def needs(self) -> tuple[Subject, ...]:
        """The rows that have to be known before it begins."""
        return tuple(each for each in (self.subject, *self.also) if each.row)


def process(name: str) -> Subject:
    """Return the row of a process."""
    return Subject("processes", name)


def listener(port: int, address: str = "0.0.0.0") -> Subject:
    """Return the row of a listener."""
    return Subject("listeners", f"tcp/{address}:{port}")


def suspend(pid: int) -> None:
    """Return when a process does nothing any more.

    The signal wakes one of its threads, which has to run before the others are stopped, too.
    """
    os.kill(pid, signal.SIGSTOP)
    threads = list(Path(f"/proc/{pid}/task").iterdir())

    def states() -> set[str]:
        return {(each / "stat").read_text().rpartition(") ")[2][0] for each in threads}

    wait_for(lambda: states() == {"T"}, states)


def close_wait_leak(machine: Machine) -> Course:
    """A server forgets to close what its clients have closed."""
    leaker = machine.process("leaker", "listen 0.0.0.0 7701 200", "keep 7701")
    client = machine.other_side("client")
    yield
    client.do(f"visit {HOST} 7701 100")
    yield
    leaker.do("close")
    yield


def close_wait_slow_leak(machine: Machine) -> Course:
    """A server forgets so with a few of its many connections, again and again."""
    leaker = machine.process("slow-leaker", "listen 0.0.0.0 7702 200", "keep 7702")
    client = machine.other_side("slow-client")
    yield
    client.do(f"visits {HOST} 7702 4")
    yield
    client.do("close")
    leaker.do("close")
    yield


def young_client_leak(machine: Machine) -> Course:
    """A client in its first ten minutes forgets to close what a server has closed."""
    machine.other_side("closing-server", f"listen {OUTSIDE} 7703 200", "hang_up 7703")
    client = machine.process("young-client")
    yield
    client.do(f"connect {OUTSIDE} 7703 100")
    yield
    client.do("close")
    yield


def accept_queue_full(machine: Machine) -> Course:
    """A server with a small backlog hangs."""
    server = machine.process("stuck", "listen 0.0.0.0 7710 128", "answer 7710")
    client = machine.other_side("waiting")
    yield
    suspend(server.process.pid)
    client.do(f"connect {HOST} 7710 165")
    yield
    server.process.send_signal(signal.SIGCONT)
    client.do("close")
    yield


def php_fpm_hung(machine: Machine) -> Course:
    """All children of php-fpm hang; its backlog is large."""
    php = machine.run(daemons.php_fpm(machine.folder / "php-fpm8.2", 9000))
    client = machine.other_side("php-client")
    pages = f"""
        location /hung {{
            fastcgi_pass 127.0.0.1:9000;
            fastcgi_param SCRIPT_FILENAME {php.folder}/hung.php;
            fastcgi_param REQUEST_METHOD GET;
        }}"""
    machine.run(daemons.nginx(machine.folder / "nginx-php", 8081, pages))
    yield
    client.do(f"connect {HOST} 8081 150 /hung")
    yield
    client.do("close")
    php.stop()
    php.start()
    yield


_SOCKETS = Path("/dev/shm")
"""The folder of the daemons' unix sockets, so that these have short names of their own."""


def _full_at(machine: Machine, daemon: daemons.Daemon) -> Course:
    """A daemon at a unix socket hangs, all its processes, until nobody can connect any more."""
    client = machine.process(f"to-{daemon.folder.name}"[:15])
    yield
    for each in daemon.all():
        suspend(each.pid)
    client.do(f"fill {daemon.path}")
    yield
    for each in daemon.all():
        each.send_signal(signal.SIGCONT)
    client.do("close")
    yield


def php_fpm_full(machine: Machine) -> Course:
    """As php-fpm at a unix socket, before which nginx stands."""
    path = _SOCKETS / "php8.2-fpm.sock"
    yield from _full_at(machine, machine.run(daemons.php_fpm_at(machine.folder / "php", path)))


def gunicorn_full(machine: Machine) -> Course:
    """As gunicorn at a unix socket."""
    path = _SOCKETS / "gunicorn.sock"
    yield from _full_at(machine, machine.run(daemons.gunicorn_at(machine.folder / "guni", path)))


def postgres_full(machine: Machine) -> Course:
    """As postgres, to which programs of the host connect."""
    path = _SOCKETS / ".s.PGSQL.5499"
    yield from _full_at(machine, machine.run(daemons.postgres_at(machine.folder / "pg", path)))


def accepts_no_more(machine: Machine) -> Course:
    """A server that has worked stops accepting, and few connections wait."""
    redis = machine.run(daemons.redis(machine.folder / "redis-stopped", 6380))
    client = machine.other_side("redis-client")
    yield
    suspend(redis.main().pid)
    client.do(f"connect {HOST} 6380 25")
    yield
    redis.main().send_signal(signal.SIGCONT)
    client.do("close")
    yield


def listener_gone(machine: Machine) -> Course:
    """A server has been stopped."""
    redis = machine.run(daemons.redis(machine.folder / "redis-server", 6379))
    yield
    redis.stop()
    yield
    redis.start()
    yield


def upstream_silent(machine: Machine) -> Course:
    """An upstream takes no packet and refuses none: what nginx opens gets no answer."""
    page = f"location /down {{ proxy_pass http://{SILENT}:80; }}"
    machine.run(daemons.nginx(machine.folder / "nginx", 8080, page))
    client = machine.other_side("nginx-client")
    yield
    client.do(f"connect {HOST} 8080 40 /down")
    yield
    client.do("close")
    yield


def chosen_upstream_silent(machine: Machine) -> Course:
    """The same with haproxy, of which upstreams are discovered, too."""
    machine.run(daemons.haproxy(machine.folder / "haproxy", 8082, f"{SILENT}:5432"))
    client = machine.other_side("haproxy-client")
    yield
    client.do(f"connect {HOST} 8082 40 /")
    yield
    client.do("close")
    yield


def upstream_refuses(machine: Machine) -> Course:
    """Nobody listens on an upstream: each request fails at once."""
    folder = machine.folder / "haproxy-refused"
    machine.run(daemons.haproxy(folder, 8083, f"{OUTSIDE}:7999"))
    client = machine.other_side("refused-client")
    yield
    client.do(f"requests {HOST} 8083 / 60")
    yield
    client.do("close")
    yield


def descriptors_out(machine: Machine) -> Course:
    """A process has nearly all descriptors that it may have."""
    hog = machine.process("fdhog", "listen 0.0.0.0 7720 200", "answer 7720")
    yield
    hog.do("take 252 256")
    yield
    hog.do("close")
    yield


def ephemeral_ports_out(machine: Machine) -> Course:
    """A client has, or has just had, a connection on every port there is to one destination."""
    machine.other_side("port-server", f"listen {OUTSIDE} 7730 2000", "answer 7730")
    hog = machine.process("port-hog")
    yield
    hog.do(f"exhaust {OUTSIDE} 7730 {PORTS * 7 // 10}")
    yield
    set_port_range(4 * PORTS)  # the remedy: TIME_WAIT stays for a minute
    hog.do("close")
    yield


def document_truncated(machine: Machine) -> Course:
    """There are more names of processes than the document takes."""
    crowd = machine.process("crowd")
    yield
    crowd.do("crowd 260")
    yield
    crowd.do("close")
    yield


FAULTS = (
    Fault(
        close_wait_leak,
        "leaker",
        rf"10\d connections stay in CLOSE_WAIT, most with {OUTSIDE} \(.*\)",
        also=(listener(7701),),
        short=True,
    ),
    Fault(
        close_wait_slow_leak,
        "slow-leaker",
        rf"CLOSE_WAIT grows: \d+ connections, most with {OUTSIDE} \(.*\)",
        also=(listener(7702),),
    ),
    Fault(
        young_client_leak,
        "",
        r"100 connections of young-client stay in CLOSE_WAIT or get no answer .*",
    ),
    Fault(
        accept_queue_full,
        "tcp/0.0.0.0:7710",
        r"Accept queue is full: 100 % of its backlog used, 129 connections wait \(.*\)",
        also=(process("stuck"),),
        short=True,
    ),
    Fault(
        php_fpm_hung,
        "tcp/127.0.0.1:9000",
        r"14\d connections wait to be accepted, 3\.\d+ % of the backlog \(.*\)",
        also=(process("php-fpm8.2"), process("nginx-php"), listener(8081)),
    ),
    *(
        Fault(
            make,
            f"unix/{_SOCKETS}/{name}",
            r"Accept queue is full: 100 % of its backlog used, 1\d connections wait \(.*\)",
            short=True,
        )
        for make, name in (
            (php_fpm_full, "php8.2-fpm.sock"),
            (gunicorn_full, "gunicorn.sock"),
            (postgres_full, ".s.PGSQL.5499"),
        )
    ),
    Fault(
        accepts_no_more,
        "tcp/0.0.0.0:6380",
        r"2\d connections wait to be accepted, [45]\.?\d* % of the backlog \(.*\)",
        also=(process("redis-stopped"),),
    ),
    Fault(
        listener_gone,
        "tcp/0.0.0.0:6379",
        r"Nobody listens any more, for .* now",
        also=(process("redis-server"),),
        short=True,
    ),
    Fault(
        upstream_silent,
        "nginx",
        rf"40 connections get no answer, most to tcp/{SILENT}:80 \(.*\)",
        also=(listener(8080),),
        short=True,
    ),
    Fault(
        chosen_upstream_silent,
        f"haproxy>tcp/{SILENT}:5432",
        r"40 connections get no answer \(.*\)",
        also=(process("haproxy"), listener(8082)),
    ),
    Fault(
        upstream_refuses,
        "",
        r"Attempts to connect fail: \d+\.?\d* per second \(.*\)",
        also=(process("haproxy-refused"), listener(8083)),
    ),
    Fault(
        descriptors_out,
        "fdhog",
        r"Descriptors run out: 98\.4\d* % of the limit of one of its processes \(.*\)",
        also=(listener(7720),),
    ),
    Fault(
        ephemeral_ports_out,
        "",
        rf"Ephemeral ports run out to tcp/{OUTSIDE}:7730: \d+\.?\d* % of those .* \(.*\)",
    ),
    Fault(
        document_truncated,
        "",
        r"The document leaves rows out: \d+ processes, \d+ listeners \(.*\)",
        alone=True,  # no listener is missed of an incomplete list
    ),
)
"""Those that are not `alone` do not disturb each other."""
