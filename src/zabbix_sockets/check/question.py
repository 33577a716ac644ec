"""What is asked of Zabbix's API about this host, and as whom."""

from __future__ import annotations

from typing import NamedTuple

from zabbix_sockets.provision.credentials import Login, Token
from zabbix_sockets.provision.frontend import Frontend

API = "api"


class Question(NamedTuple):
    """What is asked of the API.

    Attributes:
        frontend: the address of the frontend.
        credentials: the token, or the user and password.
        host: the technical name of this host there.
        timeout: seconds for each of the server's answers.
        ca_file: certificates to trust; None: the system's.
    """

    frontend: Frontend
    credentials: Token | Login
    host: str
    timeout: float
    ca_file: str | None
