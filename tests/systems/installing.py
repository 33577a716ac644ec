"""A host: a booted system with an agent, and the product as its documentation installs it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .asking import ask_document, wait_for_agent
from .booted import System, booted, prepared
from .packages import SOURCE

LOAD = "zabbix-sockets-load.service"
SEND = "zabbix-sockets-send.service"
MOUNT = r"run-zabbix\x2dsockets.mount"
UNITS = (LOAD, MOUNT, SEND)

PINS = "/run/zabbix-sockets"

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def documented(page: str, heading: str) -> list[str]:
    """Return the blocks of shell below a heading of a page of this checkout."""
    return blocks((SOURCE / page).read_text("utf-8"), heading)


def administrators_lines() -> str:
    """Return what README.md has an administrator type: the block of shell with `setup`."""
    found: list[str] = _BLOCK.findall((SOURCE / "README.md").read_text("utf-8"))
    return next(block for block in found if "\nzabbix-sockets setup" in block)


def blocks(text: str, heading: str) -> list[str]:
    """Return the blocks of shell below a heading of a text in Markdown; there is one at least."""
    found_blocks: list[str] = _BLOCK.findall(_section(text, heading))
    assert found_blocks, f"{heading} has nothing to type"
    return found_blocks


def _section(text: str, heading: str) -> str:
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"there is no {heading}"
    return re.split(rf"^#{{2,{level}}} ", rest, flags=re.MULTILINE)[0]  # `# ` is shell's


@dataclass(frozen=True, slots=True)
class Host:
    """A booted system, and which agent it has: as trees.AGENTS calls it."""

    system: System
    agent: str

    @property
    def agent_unit(self) -> str:
        """The agent's unit in Debian's package."""
        return {"agentd": "zabbix-agent.service", "agent2": "zabbix-agent2.service"}[self.agent]

    @property
    def include_folder(self) -> str:
        """The folder from which the agent of Debian's package includes files."""
        name = {"agentd": "zabbix_agentd.conf.d", "agent2": "zabbix_agent2.d"}[self.agent]
        return f"/etc/zabbix/{name}"

    def install(self) -> None:
        """Type what docs/install.md says for Debian, in the folder where the package is."""
        self.type(documented("docs/install.md", "## Debian and Ubuntu")[0])

    def type(self, block: str, folder: str = "/root") -> None:
        """Type lines that end with `setup`, which must succeed, and wait until nothing is broken.

        On a machine that is too busy for an answer in its one second, `setup` ends with a failure.
        """
        *before, last = block.strip().splitlines()
        assert "zabbix-sockets setup" in last
        self.system.do("\n".join([f"cd {folder}", *before, f"{last} || [ $? = 1 ]"]))
        wait_for_agent(self.system)
        self.system.wait("zabbix-sockets check || [ $? = 1 ]")

    def collector(self) -> dict[str, Any]:
        """Return what the agent's answer says of how it came."""
        collector = ask_document(self.system)["collector"]
        assert isinstance(collector, dict)
        return collector

    @property
    def memory(self) -> str:
        """The folder in which the agent remembers what it has admitted to discovery."""
        return f"/var/lib/zabbix-sockets-{self.user_id('zabbix')}"

    def remembers(self, folder: str, user_id: str) -> bool:
        """Whether a folder has the file of admitted rows, both of this user and for him alone."""
        paths = f"{folder} {folder}/zabbix-sockets.admitted-process"
        shown = self.system.run(f"stat -c '%u %a' {paths}").stdout.splitlines()
        return shown == [f"{user_id} 700", f"{user_id} 600"]

    @property
    def agent_remembers(self) -> bool:
        """Whether the agent's user has the file of the admitted rows where it outlives a boot."""
        return self.remembers(self.memory, self.user_id("zabbix"))

    def main_process(self, unit: str) -> dict[str, str]:
        """Return /proc/PID/status of a unit's main process."""
        pid = self.system.show(unit, "MainPID")["MainPID"]
        lines = self.system.do(f"cat /proc/{pid}/status").splitlines()
        return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def user_id(self, name: str) -> str:
        """Return the number of a user of the system."""
        return self.system.do(f"id -u {name}").strip()

    def drop_in(self, unit: str, text: str) -> None:
        """Have these lines in a drop-in of the unit, as `systemctl edit` leaves them."""
        folder = self.system.path(f"/run/systemd/system/{unit}.d")
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        (folder / "tested.conf").write_text(text, "utf-8")
        self.system.do("systemctl daemon-reload")

    def checks(self) -> list[dict[str, Any]]:
        """Return what `zabbix-sockets check --json` finds."""
        found = json.loads(self.system.run("zabbix-sockets check --json --timeout 60").stdout)
        assert isinstance(found, list)
        return found


@contextmanager
def booted_host(release: str, agent: str, package: Path) -> Iterator[Host]:
    """Boot a system of this release with this agent, and with the package's file in /root."""
    with prepared(release, agent) as tree:
        tree.put(package, f"/root/{package.name}")
        with booted(tree) as system:
            yield Host(system, agent)
