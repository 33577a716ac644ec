"""A PostgreSQL of the tests' own, and the databases of Zabbix in it."""

import csv
import gzip
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import programs
from .agents import CACHE
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
    "shared_buffers": "256MB",
    "max_connections": "500",
    "jit": "off",
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
    templates: set[str] = field(default_factory=set)

    def psql(self, database: str, *arguments: str, options: str = "") -> str:
        """Return what psql prints; an error in SQL is a failure."""
        command = [_binary("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", database]
        to = {"PGHOST": str(self.directory), "PGUSER": USER, "PGOPTIONS": options}
        return programs.run([*command, *arguments], **to)

    def command(self, command: str) -> None:
        """Do what no database is needed for."""
        self.psql("postgres", "--command", command)

    def create(self, version: str, name: str) -> Database:
        """Create a database as the packages of *version* have it, stock templates included."""
        template = f"template-{version}"
        if template not in self.templates:
            self._load(version, template)
            self.templates.add(template)
        self.command(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return Database(self, name)

    def _load(self, version: str, template: str) -> None:
        source = CACHE / version / "usr/share/zabbix-server-pgsql"
        if not source.exists():
            raise UnavailableError(f"no server {version}: tests/requirements.sh fetches it")
        self.command(f'CREATE DATABASE "{template}"')
        script = self.directory / "load.sql"
        with script.open("wb") as output:
            for part in ("schema", "images", "data"):
                output.write(_merge_rows(gzip.decompress((source / f"{part}.sql.gz").read_bytes())))
        shutil.chown(script, USER)
        self.psql(template, "--file", str(script), options=_LOAD_OPTIONS)
        script.unlink()
        # Nobody answers on the port of the host that every new server watches: itself.
        self.psql(template, "--command", "UPDATE hosts SET status = 1 WHERE host = 'Zabbix server'")
        # With no statistics the API takes seconds to create a host.
        self.psql(template, "--command", "VACUUM ANALYZE")


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


def _binary(name: str) -> str:
    found = list((CACHE / "postgresql/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if not found:
        raise UnavailableError(f"no {name} of PostgreSQL: tests/requirements.sh fetches it")
    return str(found[0])


def start(directory: Path) -> Cluster:
    """Make a new cluster in *directory* and start it."""
    directory.mkdir()
    shutil.chown(directory, USER, USER)
    data = str(directory / "data")
    initdb = ["--no-sync", "--auth=trust", f"--username={USER}", "--encoding=UTF8", "--locale=C"]
    programs.run([_binary("initdb"), *initdb, "-D", data])
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = [_binary("postgres"), "-D", data, "-k", str(directory), *settings]
    program = programs.start(command, directory / "log")
    # The last line of this file says "ready" once connections are accepted.
    status = directory / "data/postmaster.pid"
    program.wait(lambda: status.exists() and status.read_text().rstrip().endswith("ready"))
    return Cluster(directory, program)
