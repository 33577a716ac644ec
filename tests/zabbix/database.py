"""A PostgreSQL of the tests' own, and the databases of Zabbix in it."""

import csv
import fcntl
import gzip
import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import programs
from .agents import CACHE, TIMEOUT_SECONDS
from .programs import Program
from .stage import UnavailableError

USER = "zabbix"

# Nothing has to survive a crash, and no file may outlive the data directory.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "min_wal_size": "32MB",
    "wal_recycle": "off",
    "wal_init_zero": "off",
    "shared_buffers": "256MB",
    "max_connections": "500",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "update_process_title": "off",
    "autovacuum_naptime": "10min",
    "dynamic_shared_memory_type": "mmap",
}

# Packaged data needs no check of its keys, and no trigger that tells a server of changes.
_LOAD_OPTIONS = "-c session_replication_role=replica"


@dataclass(frozen=True, slots=True)
class Database:
    """One Zabbix database."""

    cluster: "Cluster"
    name: str

    def sql(self, query: str) -> list[dict[str, str]]:
        """Return the rows of *query*; NULL is the empty string."""
        output = self.cluster.psql(self.name, "--csv", "--command", query)
        return list(csv.DictReader(io.StringIO(output, newline="")))

    def drop(self) -> None:
        """Remove it, whoever is connected."""
        self.cluster.command(f'DROP DATABASE "{self.name}" WITH (FORCE)')


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running PostgreSQL, reached through the socket in its directory."""

    directory: Path
    program: Program

    def psql(self, database: str, *arguments: str, options: str = "") -> str:
        """Return what psql prints; an error in SQL is a failure."""
        command = [binary("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", database]
        to = {"PGHOST": str(self.directory), "PGUSER": USER, "PGOPTIONS": options}
        return programs.run([*command, *arguments], **to)

    def command(self, command: str) -> None:
        """Do what no database is needed for."""
        self.psql("postgres", "--command", command)

    def create(self, version: str, name: str) -> Database:
        """Create a database as the packages of *version* have it, but without any template."""
        if not _schema(version).exists():
            raise UnavailableError(f"no server {version}: tests/requirements.sh fetches it")
        self.command(f'CREATE DATABASE "{name}" TEMPLATE "{_template(version)}"')
        return Database(self, name)

    def load(self, version: str) -> None:
        """Make the database that others of this version are copied from.

        What the packages bring of hosts, templates and maps goes again: nine tenths of all rows,
        which every server and frontend of the tests would read again and again. The statistics of
        them stay: with none, or with those of empty tables, the API takes seconds to create a host,
        and a server to discover one.
        """
        template = _template(version)
        self.command(f'CREATE DATABASE "{template}"')
        script = self.directory / "load.sql"
        with script.open("wb") as output:
            for part in ("schema", "images", "data"):
                packed = (_schema(version) / f"{part}.sql.gz").read_bytes()
                output.write(_merge_rows(gzip.decompress(packed)))
        shutil.chown(script, USER)
        self.psql(template, "--file", str(script), options=_LOAD_OPTIONS)
        script.unlink()
        if version != "6.0":  # which has this in the file of the server alone
            seconds = f"UPDATE config SET timeout_zabbix_agent = '{TIMEOUT_SECONDS}s'"
            self.psql(template, "--command", seconds)
        self.psql(template, "--command", "VACUUM ANALYZE")
        self.psql(template, "--command", "TRUNCATE hosts, triggers, sysmaps CASCADE")


def _schema(version: str) -> Path:
    """Return where the packages of a server have what makes its database."""
    return CACHE / version / "usr/share/zabbix-server-pgsql"


def _template(version: str) -> str:
    return f"template-{version}"


def _merge_rows(script: bytes) -> bytes:
    """Make one statement of successive rows of the same table.

    6.0 has a statement for each of its 120,000 rows, which takes ten times as long.
    """
    return b"".join(_merged(re.split(rb"(?<=\));\n(?=INSERT INTO )", script)))


def _merged(statements: list[bytes]) -> Iterator[bytes]:
    last = None
    yield statements[0]
    for statement in statements[1:]:
        table, _, row = statement.partition(b" values ")
        yield b",\n" + row if table == last else b";\n" + statement
        last = table


def binary(name: str) -> str:
    """Return the path of one of its programs."""
    found = list((CACHE / "postgresql/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise UnavailableError(f"no {name} of PostgreSQL: tests/requirements.sh fetches it")
    return str(found[0])


def start(directory: Path, versions: Sequence[str]) -> Cluster:
    """Start a new cluster in *directory*, with what databases of these versions are copied from.

    Making that takes half a minute, once: it is kept beside the unpacked programs.
    """
    directory.mkdir()
    shutil.chown(directory, USER, USER)
    kept = CACHE / "clusters" / _made_of(versions)
    kept.parent.mkdir(exist_ok=True)
    with (kept.parent / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another part of the tests may be making it
        if not kept.exists():
            _make(directory, versions)
            for old in kept.parent.glob("*-*"):
                shutil.rmtree(old)
            new = kept.with_name("new")
            shutil.rmtree(new, ignore_errors=True)
            _copy(directory / "data", new)
            new.rename(kept)
            shutil.rmtree(directory / "data")
    _copy(kept, directory / "data")
    return _run(directory)


def _made_of(versions: Sequence[str]) -> str:
    """Return a name for what this file makes of the programs and schemas that there are."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(str(TIMEOUT_SECONDS).encode())  # which load() writes into it
    for each in ("postgresql", *versions):
        mark = CACHE / each / ".mark"
        found.update(mark.read_bytes() if mark.exists() else b"none")
    return f"cluster-{found.hexdigest()[:16]}"


def _make(directory: Path, versions: Sequence[str]) -> None:
    """Make a cluster with the databases that others are copied from, and end it in order."""
    initdb = ["--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C"]
    programs.run([binary("initdb"), *initdb, "-D", str(directory / "data")])
    cluster = _run(directory)
    try:
        for version in versions:
            if _schema(version).exists():
                cluster.load(version)
        cluster.program.end()
    finally:
        cluster.program.stop()


def _copy(source: Path, target: Path) -> None:
    """Copy the files of a cluster with their owner and modes."""
    subprocess.run(["cp", "--archive", "--reflink=auto", source, target], check=True)


def _run(directory: Path) -> Cluster:
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    places = ["-D", str(directory / "data"), "-k", str(directory)]
    program = programs.start([binary("postgres"), *places, *settings], directory / "log")
    # The last line of this file says "ready" once connections are accepted.
    status = directory / "data/postmaster.pid"
    program.wait(lambda: status.exists() and status.read_text().rstrip().endswith("ready"))
    return Cluster(directory, program)
