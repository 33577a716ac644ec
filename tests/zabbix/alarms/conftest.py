"""A server of each version with the template, for the tests that replay hosts to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from ..documents import document  # noqa: TID252  # a test folder is no installed package
from ..servers import SERVER_VERSIONS, Server, Servers  # noqa: TID252
from ..stage import UnavailableError  # noqa: TID252
from .replay import Replay, import_template, new_replay

_TEMPLATES = Path(__file__).parents[3] / "zabbix_templates"
_NAME = "sockets_by_zabbix_trapper"

ONE_OF_EACH = {"StartTrappers": 1, "StartPreprocessors": 1, "StartDBSyncers": 1}

_NODATA = {"{$SOCKETS.NODATA.CONTROL}": "1", "{$SOCKETS.NODATA.TIME}": "30s"}


def template_source(version: str) -> str:
    """Return the YAML of the template for that version."""
    return (_TEMPLATES / _NAME / f"{_NAME}-{version}.yaml").read_text()


class Lab(NamedTuple):
    """A server with the template."""

    server: Server
    template: str
    """Its id."""
    nodata: Replay
    """A host that is missed after half a minute, the shortest time there is; it has begun."""

    def replay(self, minutes: int, macros: Mapping[str, str] | None = None) -> Replay:
        """Return a new host, see new_replay."""
        return new_replay(self.server, self.template, minutes, macros)


def say_something(replay: Replay) -> None:
    """Send a document of now."""
    now = time.time()
    replay.play([(replay.minute(now), document(now, {}))])


@pytest.fixture(scope="session", params=SERVER_VERSIONS)
def lab(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Lab]:
    """A server of the tests' own, as others import templates of that name.

    One process of each kind that values pass through: of several, one may be minutes ahead of
    another when hours come within seconds. A trigger of two items is then evaluated at a time that
    is over, and raised once more.
    """
    source = template_source(request.param)
    try:
        with servers.fresh(request.param, **ONE_OF_EACH) as server:
            template = import_template(server, source)
            nodata = new_replay(server, template, 0, _NODATA)
            say_something(nodata)
            yield Lab(server, template, nodata)
    except UnavailableError as exc:
        pytest.skip(str(exc))
