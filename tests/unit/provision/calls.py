"""Runs the command as people do, against frontends that record what they are asked."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any

from ..commands import COMMAND, Answer  # noqa: TID252  # a test folder is no installed package
from .frontends import Answers, Frontend, frontend

SECRET = "s3cret-Pa55"
LOGIN = {"ZABBIX_USER": "Admin", "ZABBIX_PASSWORD": SECRET}
HOST = {
    "hostid": "7",
    "host": "web",
    "flags": "0",
    "proxyid": "0",
    "parentTemplates": [],
    "interfaces": [],
    "macros": [{"macro": "{$A}", "value": "2\x1b", "type": "0"}],
    "hostgroups": [],
}
SERVER = {
    "template.get": lambda params: [
        {"templateid": "31", "host": name}
        for name in params.get("filter", {}).get("host", ())
        if name.startswith("Sockets")
    ],
    "hostgroup.get": [{"groupid": "2", "name": "Linux servers"}],
    "host.get": lambda params: [HOST] if "host" in params["filter"] else [],
    "host.create": {"hostids": ["8"]},
    "host.massadd": {"hostids": ["7"]},
    "usermacro.create": {"hostmacroids": ["1"]},
    "configuration.import": True,
}


def provision(url: str, *arguments: str, environment: Mapping[str, str] = LOGIN) -> Answer:
    """Run the command without a terminal; nothing that it says or is given tells the secret."""
    command = [*COMMAND, "provision", url, *arguments]
    answer = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=60,
        check=False,
        start_new_session=True,  # no terminal that could be asked
    )
    assert SECRET.encode() not in answer.stdout + answer.stderr
    assert b"Traceback" not in answer.stderr
    assert SECRET not in " ".join(command)
    return answer


def ask(answers: Answers, *arguments: str) -> tuple[Frontend, Answer]:
    """Run the command at such a frontend."""
    with frontend({**SERVER, **answers}) as asked:
        return asked, provision(asked.url, *arguments)


def parameters(asked: Frontend, method: str) -> list[Any]:
    """Return what a method was called with."""
    return [request.params for request in asked.requests if request.method == method]
