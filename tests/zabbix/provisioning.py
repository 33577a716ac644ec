"""Runs `provision` against real servers, and sees what it has changed there."""

import http.client
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

from .servers import Server, Servers
from .stage import require

PASSWORD = "A-s3cret-Pa55word"
AGENT, ACTIVE = "Sockets by Zabbix agent", "Sockets by Zabbix agent active"
TEMPLATES = (AGENT, ACTIVE, "Sockets by Zabbix trapper")
ADMIN_ROLE, SUPER_ADMIN_ROLE = "2", "3"  # of every new database
USER_ROLE = "1"

# What the configuration consists of, as far as this command could change it.
_TABLES = (
    *("hosts", "items", "item_preproc", "functions", "graphs", "dashboard"),
    *("hosts_groups", "hosts_templates", "hstgrp", "hostmacro", "valuemap", "widget"),
    "(select interfaceid, hostid, type, main, useip, ip, dns, port from interface)",
    # Without what a server writes there when it looks at them.
    "(select to_jsonb(triggers) - '{value,lastchange,state,error}'::text[] from triggers)",
)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call has said."""

    status: int
    out: list[str]
    err: list[str]


@dataclass(frozen=True, slots=True)
class User:
    """A user of the API, by password or by token."""

    name: str
    group: str
    token: str

    @property
    def by_token(self) -> dict[str, str]:
        """The environment of a call with the token."""
        return {"ZABBIX_TOKEN": self.token}

    @property
    def by_password(self) -> dict[str, str]:
        """The environment of a call with the password."""
        return {"ZABBIX_USER": self.name, "ZABBIX_PASSWORD": PASSWORD}


@dataclass(frozen=True, slots=True)
class Target:
    """A server with a database of its own, and a Super admin."""

    server: Server
    admin: User

    @property
    def api(self) -> Any:
        """The API as the tests themselves use it."""
        return self.server.api

    def provision(self, *arguments: str, url: str = "", **environment: str) -> Answer:
        """Run the command as the Super admin, or as *environment* says."""
        user = environment or self.admin.by_token
        tokens = (self.admin.token, environment.get("ZABBIX_TOKEN", ""))
        secrets = (PASSWORD, environment.get("ZABBIX_PASSWORD", ""), *tokens)
        return call(url or self.server.url, *arguments, environment=user, secrets=secrets)

    def state(self) -> list[str]:
        """Return a digest of each table of the configuration, and the length of the audit log."""
        digests = (
            f"select $${table}$$ || md5(string_agg(t::text, ';' order by t::text)) d from {table} t"
            for table in _TABLES
        )
        # 4 and 8 are a user's logout and login.
        audit = "select 'auditlog' || count(*) d from auditlog where action not in (4, 8)"
        rows = self.server.sql(" union all ".join((*digests, audit)))
        return sorted(row["d"] for row in rows)

    def host(self, name: str) -> dict[str, Any]:
        """Return all of a host that matters here."""
        groups = "selectGroups" if self.server.version == "6.0" else "selectHostGroups"
        rows: list[dict[str, Any]] = self.api.host.get(
            filter={"host": [name]},
            output="extend",
            selectParentTemplates=["host"],
            selectInterfaces="extend",
            selectMacros=["macro", "value"],
            **{groups: ["name"]},
        )
        (row,) = rows
        templates = sorted(template["host"] for template in row["parentTemplates"])
        macros = {macro["macro"]: macro.get("value") for macro in row["macros"]}
        found = row.get("hostgroups", row.get("groups", ()))
        named = {"templates": templates, "groups": sorted(each["name"] for each in found)}
        return {**row, **named, "macros": macros}


@contextmanager
def imported(servers: Servers, version: str) -> Iterator[Target]:
    """Run a server of its own, where the command has imported all templates."""
    with servers.fresh(version) as server:
        target = Target(server, add_user(server, SUPER_ADMIN_ROLE))
        answer = target.provision()
        created = [f"created template {name}" for name in TEMPLATES]
        assert [line.partition(" (")[0] for line in answer.out] == created
        assert (answer.status, answer.err) == (0, [])
        yield target


def call(
    url: str, *arguments: str, environment: Mapping[str, str], secrets: tuple[str, ...] = ()
) -> Answer:
    """Run the command to its end; it has said no secret, and nothing that only developers read."""
    done = subprocess.run(
        [sys.executable, "-I", "-m", "zabbix_sockets", "provision", url, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env={"PATH": os.environ["PATH"], **environment},
        timeout=300,
        check=False,
        start_new_session=True,
    )
    said = done.stdout + done.stderr
    assert not [secret for secret in secrets if len(secret) > len("zabbix") and secret in said]
    assert "Traceback" not in said
    return Answer(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())


def unique(name: str) -> str:
    """Return a name that no other test uses."""
    return f"{name} {next(_numbers)}"


def add_user(server: Server, role: str, **rights: Any) -> User:
    """Create a user with a password and a token, in a user group of its own."""
    name = unique("user")
    (group,) = server.api.usergroup.create(name=name, **rights)["usrgrpids"]
    groups = [{"usrgrpid": group}]
    created = server.api.user.create(username=name, passwd=PASSWORD, roleid=role, usrgrps=groups)
    (token,) = server.api.token.create(name=name, userid=created["userids"][0])["tokenids"]
    return User(name, group, server.api.token.generate(token)[0]["token"])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    require(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(certificate), "-keyout", str(key)),
        ]
    )
    return certificate, key


@contextmanager
def tls_before(server: Server, certificate: Path, key: Path) -> Iterator[str]:
    """Run a server that ends TLS and passes all on to the frontend; yield its address."""
    address = server.url.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            passed = ("Content-Type", "Authorization")
            headers = {name: self.headers[name] for name in passed if name in self.headers}
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(answer.read())
            connection.close()

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that doesn't trust the certificate hangs up."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Quiet(("127.0.0.1", 0), Handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{listening.server_port}"
        listening.shutdown()
        thread.join()
