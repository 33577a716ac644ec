"""The daemons of the trial, unpacked by fetch.sh, with folders and configurations of their own."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from .. import database  # noqa: TID252  # no installed package
from ..programs import PATIENCE_SECONDS, listens, wait_for  # noqa: TID252  # no installed package
from ..stage import UnavailableError  # noqa: TID252
from .actors import MORTAL

_UNPACKED = Path(__file__).parents[3] / ".cache/trial"
_LIBRARIES = _UNPACKED / "usr/lib/x86_64-linux-gnu"


@dataclass(slots=True)
class Daemon:
    """A daemon that can be started and stopped again and again; its files are in *folder*."""

    folder: Path
    port: int
    command: Sequence[str]
    forks: bool = False
    """It goes into the background."""
    path: Path | None = None
    """The unix socket that it listens on, in the place of the port."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it listens."""
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*MORTAL, *self.command],
                cwd=self.folder,
                env={"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(_LIBRARIES)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        process = self.process

        def ready() -> bool:
            assert not process.poll(), self.output()
            return self.path.is_socket() if self.path else listens(self.port)

        wait_for(ready, self.output)

    @property
    def pid_file(self) -> Path:
        """Where one that goes into the background writes its number."""
        return self.folder / "pid"

    def output(self) -> str:
        """Return the end of what it has said."""
        return (self.folder / "output").read_text(errors="replace")[-2000:]

    def main(self) -> psutil.Process:
        """Return its first process: of one that went into the background, by its file."""
        assert self.process
        return psutil.Process(int(self.pid_file.read_text()) if self.forks else self.process.pid)

    def all(self) -> list[psutil.Process]:
        """Return all its processes, the first one first."""
        return [self.main(), *self.main().children(recursive=True)]

    def stop(self) -> None:
        """End it as its unit does."""
        main = self.main()
        main.terminate()
        self._wait_for(main)

    def kill(self) -> None:
        """End it and its children at once; it may have ended."""
        if self.process:
            processes: list[psutil.Process] = []
            with suppress(psutil.NoSuchProcess):
                processes = self.all()
            for each in reversed(processes):
                with suppress(psutil.NoSuchProcess):  # a child may end by itself meanwhile
                    each.kill()
            self._wait_for(*processes[:1])

    def _wait_for(self, *mains: psutil.Process) -> None:
        """Wait until the process that was started has ended, and the daemon's first one."""
        assert self.process
        self.process.wait(PATIENCE_SECONDS)
        for main in mains:
            main.wait(PATIENCE_SECONDS)
        self.process = None

    def reload(self) -> None:
        """Let nginx read its configuration, and return when other workers have it."""
        old = self.all()
        old[0].send_signal(signal.SIGHUP)
        wait_for(lambda: not set(old[1:]) & set(self.all()), self.output)

    def upgrade(self) -> None:
        """Replace the binary of nginx without a pause, as its manual says: USR2, then QUIT."""
        old = self.main()
        old.send_signal(signal.SIGUSR2)

        def is_at_work() -> bool:
            try:
                new = self.pid_file.read_text().strip()
            except FileNotFoundError:  # the old one renames its own
                new = ""
            return new not in ("", str(old.pid)) and bool(psutil.Process(int(new)).children())

        wait_for(is_at_work, self.output)
        old.send_signal(signal.SIGQUIT)
        old.wait(PATIENCE_SECONDS)


@contextmanager
def _daemon(
    folder: Path, port: int, program: str, options: Sequence[str], files: dict[str, str]
) -> Iterator[Daemon]:
    """Run a daemon under the name of its folder.

    That has these *files*, in whose texts `{folder}` and `{port}` stand.
    """
    found = [_UNPACKED / "usr" / place / program for place in ("sbin", "bin")]
    paths = [path for path in found if path.exists()]
    if not paths:
        raise UnavailableError(f"no {program}: tests/zabbix/trial/fetch.sh unpacks it")
    folder.mkdir()
    link = folder / folder.name  # of which the kernel takes the name of the process
    link.symlink_to(paths[0])
    for name, text in files.items():
        filled = text.replace("{folder}", str(folder)).replace("{port}", str(port))
        (folder / name).write_text(filled)
    daemon = Daemon(folder, port, [str(link), *options], forks=program == "nginx")
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


_NGINX = """
user root;
worker_processes 2;
pid {folder}/pid;
error_log {folder}/error_output;
events { worker_connections 1024; }
http {
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_connect_timeout 1h;
    fastcgi_read_timeout 1h;
    server {
        listen 0.0.0.0:{port} backlog=511;
        location / { root {folder}; }
"""


def nginx(folder: Path, port: int, locations: str = "") -> AbstractContextManager[Daemon]:
    """Run nginx, which serves its own folder and what *locations* say."""
    files = {"nginx.conf": f"{_NGINX}{locations}\n}}\n}}\n", "page": "a page\n"}
    options = ["-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/output"]
    return _daemon(folder, port, "nginx", options, files)


def redis(folder: Path, port: int, address: str = "0.0.0.0") -> AbstractContextManager[Daemon]:
    """Run redis-server."""
    options = ["--port", str(port), "--bind", address, "--save", "", "--dir", str(folder)]
    return _daemon(folder, port, "redis-server", [*options, "--protected-mode", "no"], {})


_HAPROXY = """
global
    maxconn 1000
    nbthread 1
defaults
    mode http
    timeout connect 1h
    timeout client 1h
    timeout server 1h
    retries 0
    option abortonclose
listen front
    bind 0.0.0.0:{port}
"""


def haproxy(folder: Path, port: int, backend: str) -> AbstractContextManager[Daemon]:
    """Run haproxy before a *backend*, an address and a port, under a master as its unit does."""
    files = {"haproxy.cfg": f"{_HAPROXY}    server behind {backend}\n"}
    return _daemon(folder, port, "haproxy", ["-W", "-db", "-f", f"{folder}/haproxy.cfg"], files)


_PHP_FPM = """
[global]
error_log = {folder}/error_output
[www]
user = root
listen = 127.0.0.1:{port}
listen.backlog = 4096
pm = static
pm.max_children = 3
"""


def php_fpm(folder: Path, port: int) -> AbstractContextManager[Daemon]:
    """Run php-fpm with three children; hung.php is a page that no request comes back from."""
    files = {"fpm.conf": _PHP_FPM, "hung.php": "<?php sleep(100000);\n"}
    options = ["--nodaemonize", "--allow-to-run-as-root", "--fpm-config", f"{folder}/fpm.conf"]
    return _daemon(folder, port, "php-fpm8.2", [*options, "-n"], files)


BACKLOG = 16
"""Of the daemons that listen on unix sockets; postgres has one of its own making."""


@contextmanager
def php_fpm_at(folder: Path, path: Path) -> Iterator[Daemon]:
    """Run php-fpm at a unix socket, as Debian's does."""
    text = _PHP_FPM.replace("127.0.0.1:{port}", str(path)).replace("4096", str(BACKLOG))
    options = ["--nodaemonize", "--allow-to-run-as-root", "--fpm-config", f"{folder}/fpm.conf"]
    program = _UNPACKED / "usr/sbin/php-fpm8.2"
    with _at_path(folder, path, [program, *options, "-n"], {"fpm.conf": text}) as daemon:
        yield daemon


@contextmanager
def gunicorn_at(folder: Path, path: Path) -> Iterator[Daemon]:
    """Run gunicorn at a unix socket, with a worker, by the machine's own Python."""
    packages = _UNPACKED / "usr/lib/python3/dist-packages"
    start = f"import sys; sys.path.append({str(packages)!r}); sys.argv[0] = 'gunicorn';"
    start += "from gunicorn.app.wsgiapp import run; run()"
    options = ["--bind", f"unix:{path}", "--backlog", str(BACKLOG), "--chdir", str(folder)]
    options += ["--timeout", "0", "app"]  # it would kill a worker that a fault has stopped
    files = {"app.py": "def application(environ, start):\n    return []\n"}
    command = ["/usr/bin/python3", "-c", start, *options]
    with _at_path(folder, path, command, files) as daemon:
        yield daemon


@contextmanager
def postgres_at(folder: Path, path: Path) -> Iterator[Daemon]:
    """Run postgres at a unix socket, with as few connections as it takes.

    Its backlog is twice the number of its processes at most: 14.
    """
    user = [*MORTAL, f"--reuid={database.USER}", "--clear-groups"]
    initdb = [database.binary("initdb"), "--no-sync", "--auth=trust", "--username=postgres"]
    folder.mkdir()
    shutil.chown(folder, database.USER)
    subprocess.run([*user, *initdb, "-D", folder / "data"], check=True, stdout=subprocess.DEVNULL)
    few = ("max_wal_senders", "max_worker_processes", "superuser_reserved_connections")
    settings = [f"--{name}=0" for name in few]
    settings += ["--max_connections=5", "--autovacuum_max_workers=1", "--listen_addresses="]
    *_, port = path.name.split(".")
    places = ["-D", str(folder / "data"), "-k", str(path.parent), "-p", port]
    command = [*user, database.binary("postgres"), *places, *settings]
    with _at_path(folder, path, command, {}) as daemon:
        yield daemon


@contextmanager
def _at_path(
    folder: Path, path: Path, command: Sequence[str | Path], files: dict[str, str]
) -> Iterator[Daemon]:
    """Run a daemon at a unix socket; *files* are as of _daemon()."""
    if not Path(command[0]).exists() and "/" in str(command[0]):
        raise UnavailableError(f"no {command[0]}: tests/zabbix/trial/fetch.sh unpacks it")
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text.replace("{folder}", str(folder)))
    path.unlink(missing_ok=True)
    daemon = Daemon(folder, 0, [str(each) for each in command], path=path)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()
        path.unlink(missing_ok=True)
