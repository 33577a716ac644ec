"""Questions to the agent of a booted system, asked by zabbix_get in the system's own network."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .booted import BOOT_SECONDS, System
from .trees import UnavailableError

ZABBIX_GET = Path(__file__).parents[2] / ".cache/zabbix/6.0/usr/bin/zabbix_get"
"""The program that tests/zabbix/fetch.sh unpacks; it asks agents of each version."""

KEY = "sockets.get"
_REFUSED = ("ZBX_NOTSUPPORTED", "zabbix_get [")


def ask(system: System, key: str = KEY) -> str:
    """Return the agent's answer, or what zabbix_get says instead of one."""
    if not ZABBIX_GET.exists():
        raise UnavailableError("no zabbix_get: tests/requirements.sh fetches it")
    command = [str(ZABBIX_GET), "-s", "127.0.0.1", "-t", "30", "-k", key]
    result = subprocess.run(
        system.inside(command, "--net"), capture_output=True, text=True, check=False
    )
    return (result.stdout or result.stderr).strip()


def ask_document(system: System) -> dict[str, Any]:
    """Return the document that the agent answers with; anything else fails the test."""
    answer = ask(system)
    assert answer.startswith("{"), answer
    document = json.loads(answer)
    assert isinstance(document, dict)
    return document


def wait_for_agent(system: System) -> None:
    """Return when the agent answers: it is active some seconds before it listens."""
    deadline = time.monotonic() + BOOT_SECONDS
    while (answer := ask(system, "agent.ping")) != "1":
        assert time.monotonic() < deadline, f"the agent says {answer!r}"
        time.sleep(0.05)


@dataclass(slots=True)
class Asked:
    """Answers to one question, asked again and again."""

    answers: list[str] = field(default_factory=list)

    def failures(self) -> list[str]:
        """Return the answers that are no document, shortened."""
        return [
            answer[:300]
            for answer in self.answers
            if not answer.startswith('{"') or answer.startswith('{"error"')
        ]

    def lacking(self) -> list[dict[str, Any]]:
        """Return of the documents that don't come from the pinned iterators what they say of it."""
        documents = [json.loads(answer)["collector"] for answer in self.answers]
        return [each for each in documents if each["source"] != "bpf" or each["degraded"]]


@contextmanager
def asking(system: System, key: str = KEY) -> Iterator[Asked]:
    """Ask the agent in a loop while the block runs, and at least once before and after it."""
    asked = Asked([ask(system, key)])
    is_over = threading.Event()

    def loop() -> None:
        while not is_over.is_set():
            asked.answers.append(ask(system, key))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield asked
    finally:
        is_over.set()
        thread.join()
    asked.answers.append(ask(system, key))
