"""Measures what a server pays for ways to take rows out of the document; see README.md."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "tests" / "support")]  # as pytest has them

# ruff: noqa: E402
from tests.zabbix import documents, programs
from tests.zabbix.servers import SERVER_VERSIONS, Host, Server, Servers

SIZES = ((40, 6), (200, 20))
"""Rows, and figures of each."""

PATHS = (
    *("sockets", "tcp.established", "tcp.close_wait", "tcp.syn_sent", "fds_max_pct", "instances"),
    *("denied_instances", "tcp.listen", "tcp.inbound", "tcp.outbound", "tcp.unknown"),
    *("tcp.syn_recv", "tcp.fin_wait1", "tcp.fin_wait2", "tcp.last_ack", "tcp.closing"),
    *("udp.bound", "udp.connected", "recv_queue_bytes", "send_queue_bytes"),
)

_OR_ABSENT = '@.id == "{}" || @.id == "(absent)"'
_ONE = '@.id == "{}"'

MASTER = "document"
_TRAPPER, _DEPENDENT, _FLOAT, _TEXT = 2, 18, 0, 4
_JSONPATH, _DISCARD = 12, 1

# What is sent in one go, so that the hundredths of a second that the system counts add up.
_VALUES = 40_000
_PAUSE_SECONDS = 0.5
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Way:
    """A way from the document to the figures of a row."""

    name: str
    condition: str
    by_row: bool
    """An item takes the row, and those of its figures depend on that."""


WAYS = (
    Way("a row's item, either id", _OR_ABSENT, by_row=True),
    Way("a row's item, one id", _ONE, by_row=True),
    Way("every item, either id", _OR_ABSENT, by_row=False),
    Way("every item, one id", _ONE, by_row=False),
)
"""The first is that of the templates. With one id no item knows the zeros of absent rows."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host on a server with the items of one way, and what its documents have cost."""

    server: Server
    host: Host
    way: Way
    rows: int
    figures: int
    seconds: list[float] = field(default_factory=list)
    """CPU of each document, and of nothing else."""

    def run(self, idle: float) -> None:
        """Send documents, and take the time until the server has nothing more to do."""
        key = f"{PATHS[0]}[row {self.rows - 1}]"
        begun, before = time.monotonic(), self.server.cpu_seconds()
        count = _VALUES // (self.rows * self.figures)
        for number in range(count):
            last = str(len(self.seconds) * count + number + 1)
            text = documents.encoded(_document(self.rows, int(last)))
            assert self.server.send([(self.host.name, MASTER, text)]) == (1, 0)
        programs.wait_for(lambda: self.server.last_values(self.host.hostid).get(key) == last)
        spent = _settled(self.server) - before
        rest = idle * (time.monotonic() - begun)
        self.seconds.append(max(0.0, spent - rest) / count)

    def row(self, best: "Candidate") -> str:
        """Return the line of the table."""
        cpu, least = median(self.seconds), median(best.seconds)
        values = self.rows * self.figures
        size = f"{self.rows} x {self.figures}"
        cost = f"{1000 * cpu:.1f} | {1e6 * cpu / values:.1f} | {cpu / least:.2f}"
        return f"| {self.server.version} | {size} | {self.way.name} | {cost} |"


def _document(rows: int, number: int) -> documents.Row:
    listed = [
        documents.process(f"row {at}", established=number, close_wait=number, sockets=number)
        for at in range(rows)
    ]
    return documents.document(clock=time.time(), lists={"processes": listed})


def _settled(server: Server) -> float:
    """Return the server's CPU time when it grows no more."""
    before, now = -1.0, server.cpu_seconds()
    while now - before > 0.02:
        time.sleep(_PAUSE_SECONDS)
        before, now = now, server.cpu_seconds()
    return now


def _candidate(server: Server, way: Way, rows: int, figures: int) -> Candidate:
    host = server.create_host(f"{rows} x {figures}")
    (master,) = server.api.item.create(
        hostid=host.hostid, name=MASTER, key_=MASTER, type=_TRAPPER, value_type=_TEXT, history="0"
    )["itemids"]
    names = [f"row {at}" for at in range(rows)]
    paths = [f"$.processes[?({way.condition.format(name)})]" for name in names]
    masters = [master] * rows
    if way.by_row:
        made = [
            _item(f"get[{name}]", f"{path}.first()")
            for name, path in zip(names, paths, strict=True)
        ]
        masters = _create(server, host, [item | {"value_type": _TEXT} for item in made], masters)
        paths = ["$"] * rows
    end = "" if way.by_row else ".first()"
    items, of = [], []
    for figure in PATHS[:figures]:
        items += [
            _item(f"{figure}[{name}]", f"{path}.{figure}{end}")
            for name, path in zip(names, paths, strict=True)
        ]
        of += masters
    items[rows - 1]["history"] = "1h"  # of the last row, to see when it is there
    _create(server, host, items, of)
    return Candidate(server, host, way, rows, figures)


def _item(key: str, path: str) -> dict[str, object]:
    """Return an item that stores nothing: that costs the same each way."""
    step = {"type": _JSONPATH, "params": path, "error_handler": _DISCARD}
    return {
        "name": key,
        "key_": key,
        "type": _DEPENDENT,
        "value_type": _FLOAT,
        "history": "0",
        "trends": "0",
        "preprocessing": [step | {"error_handler_params": ""}],
    }


def _create(
    server: Server, host: Host, items: Sequence[dict[str, object]], masters: Sequence[str]
) -> list[str]:
    whole = [
        item | {"hostid": host.hostid, "master_itemid": master}
        for item, master in zip(items, masters, strict=True)
    ]
    created: list[str] = []
    for at in range(0, len(whole), _BATCH):
        created += server.api.item.create(*whole[at : at + _BATCH])["itemids"]
    return created


def _measure(server: Server, rounds: int) -> Iterator[Candidate]:
    candidates = [_candidate(server, way, *size) for size in SIZES for way in WAYS]
    server.reload()
    begun, before = time.monotonic(), _settled(server)
    time.sleep(5)
    idle = (server.cpu_seconds() - before) / (time.monotonic() - begun)
    for _ in range(1 + rounds):
        for each in candidates:
            each.run(idle)
    for each in candidates:
        del each.seconds[0]  # it fills caches
    yield from candidates


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of 40,000 values each (default: 3)")
    options = parser.parse_args()
    with ExitStack() as stack:
        servers = Servers(stack.enter_context(programs.directory()))
        stack.callback(servers.stop)
        print("| server | rows x items | way | CPU ms/document | us/value | x lower bound |")
        print("|---|---|---|---|---|---|")
        for version in SERVER_VERSIONS:
            with servers.fresh(version, CacheUpdateFrequency=3600) as server:
                for size in _by_size(list(_measure(server, options.rounds))):
                    for each in size:
                        print(each.row(best=size[-1]), flush=True)


def _by_size(candidates: Sequence[Candidate]) -> Iterator[Sequence[Candidate]]:
    for at in range(0, len(candidates), len(WAYS)):
        yield candidates[at : at + len(WAYS)]


if __name__ == "__main__":
    main()
