"""The agents of a host, found in trees as packages and administrators leave them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zabbix_sockets.host.agents import InstalledAgent, find_agents
from zabbix_sockets.host.programs import AGENTD, running_programs

from .trees import ACCOUNTS, DEBIAN_AGENT2, DEBIAN_AGENTD, ZABBIX_COM_AGENTD, plant


def never(executable: str) -> None:
    """Fail: nobody should have to ask for the version of *executable*."""
    raise AssertionError(executable)


def agent_of(root: str, version: tuple[int, int] | None = None) -> InstalledAgent:
    """Return the only agent below *root*, whose executable says *version* if it is asked."""
    (agent,) = find_agents(root, (lambda _: version) if version else never)
    return agent


@pytest.mark.parametrize(
    ("tree", "kind", "config", "folder", "unit"),
    [
        (
            DEBIAN_AGENTD,
            "agentd",
            "/etc/zabbix/zabbix_agentd.conf",
            "/etc/zabbix/zabbix_agentd.conf.d",
            "zabbix-agent.service",
        ),
        (
            DEBIAN_AGENT2,
            "agent2",
            "/etc/zabbix/zabbix_agent2.conf",
            "/etc/zabbix/zabbix_agent2.d",
            "zabbix-agent2.service",
        ),
        (
            ZABBIX_COM_AGENTD,
            "agentd",
            "/etc/zabbix/zabbix_agentd.conf",
            "/etc/zabbix/zabbix_agentd.d",
            "zabbix-agent.service",
        ),
    ],
    ids=["debian-agentd", "debian-agent2", "zabbix.com-agentd"],
)
def test_packages(
    tmp_path: Path, tree: dict[str, str], kind: str, config: str, folder: str, unit: str
) -> None:
    """What each distribution's package leaves is found with its folder, unit, user and group."""
    agent = agent_of(plant(tmp_path, tree))
    assert (agent.kind, agent.config_path, agent.include_folder) == (kind, config, folder)
    assert (agent.unit, agent.user, agent.group) == (unit, "zabbix", "zabbix")
    assert agent.groups == ("zabbix", "docker")
    assert (agent.pid, agent.faults, agent.no_folder) == (None, (), "")
    assert agent.executable == f"/usr/sbin/zabbix_{kind}"
    assert (agent.listen_port, agent.servers, agent.timeout) == (10050, ("127.0.0.1",), 3.0)
    assert agent.answers_passively


def test_both(tmp_path: Path) -> None:
    """A host with both agents has two, agentd first."""
    found = find_agents(plant(tmp_path, DEBIAN_AGENT2, DEBIAN_AGENTD), never)
    assert [each.kind for each in found] == ["agentd", "agent2"]


def test_none(tmp_path: Path) -> None:
    """A host without an agent has none: a unit that names one in a comment is no agent."""
    unit = "etc/systemd/system/other.service"
    text = "# after zabbix_agentd\n[Service]\nExecStart=/bin/cat /etc/zabbix_agentd\n"
    assert find_agents(plant(tmp_path, ACCOUNTS, {unit: text}), never) == []


def test_unit_names_another_file(tmp_path: Path) -> None:
    """The file of -c counts, by a drop-in that takes the package's command back."""
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        {
            "etc/systemd/system/zabbix-agent.service.d/own.conf": "[Service]\nExecStart=\n"
            "ExecStart=/usr/sbin/zabbix_agentd -f -c /srv/agent.conf\nUser=mon\nGroup=zabbix\n",
            "srv/agent.conf": "Include=/srv/parts\nListenPort=10060\n",
            "srv/parts/.keep": "",
        },
    )
    found = find_agents(root, never)
    assert [each.config_path for each in found] == [
        "/etc/zabbix/zabbix_agentd.conf",  # it is there, though nothing reads it
        "/srv/agent.conf",
    ]
    assert (found[1].include_folder, found[1].listen_port) == ("/srv/parts", 10060)
    assert (found[1].user, found[1].group) == ("mon", "zabbix")


@pytest.mark.parametrize("folder", ["sysconfig", "default"])
def test_file_of_variables(tmp_path: Path, folder: str) -> None:
    """A file of variables has the last word about the configuration's path."""
    unit = ZABBIX_COM_AGENTD["usr/lib/systemd/system/zabbix-agent.service"]
    root = plant(
        tmp_path,
        ZABBIX_COM_AGENTD,
        {
            "usr/lib/systemd/system/zabbix-agent.service": unit.replace("sysconfig", folder),
            f"etc/{folder}/zabbix-agent": "# ours\nCONFFILE=/etc/zabbix/own.conf\n",
            "etc/zabbix/own.conf": "Include=/etc/zabbix/zabbix_agentd.d/\n",
        },
    )
    assert "/etc/zabbix/own.conf" in [each.config_path for each in find_agents(root, never)]


def test_instances(tmp_path: Path) -> None:
    """A template counts by its enabled instances, each with its file."""
    root = plant(
        tmp_path,
        ACCOUNTS,
        {
            "etc/systemd/system/zabbix-agent@.service": "[Service]\nUser=zabbix\n"
            "ExecStart=/usr/sbin/zabbix_agentd -f -c /etc/zabbix/%i.conf\n",
            "etc/zabbix/a.conf": "Include=/etc/zabbix/a.d/*.conf\n",
            "etc/zabbix/a.d/.keep": "",
            "etc/systemd/system/multi-user.target.wants/zabbix-agent@a.service": "",
        },
    )
    agent = agent_of(root)
    assert (agent.unit, agent.include_folder) == ("zabbix-agent@a.service", "/etc/zabbix/a.d")


def test_masked(tmp_path: Path) -> None:
    """A masked unit starts nothing; the file is still there for who starts it otherwise."""
    root = plant(tmp_path, DEBIAN_AGENTD)
    os.makedirs(f"{root}/etc/systemd/system")
    os.symlink("/dev/null", f"{root}/etc/systemd/system/zabbix-agent.service")
    agent = agent_of(root)
    assert (agent.unit, agent.config_path) == (None, "/etc/zabbix/zabbix_agentd.conf")


@pytest.mark.parametrize("place", ["/etc/zabbix_agentd.conf", "/usr/local/etc/zabbix_agentd.conf"])
def test_usual_places(tmp_path: Path, place: str) -> None:
    """Old packages and `make install` have their files elsewhere."""
    agent = agent_of(plant(tmp_path, ACCOUNTS, {place[1:]: "Server=::1\n"}))
    assert (agent.config_path, agent.servers, agent.unit) == (place, ("::1",), None)
    assert (agent.user, agent.include_folder) == ("zabbix", None)
    assert f"Include={place.removesuffix('.conf')}.d/*.conf" in agent.no_folder


CONF = "etc/zabbix/zabbix_agentd.conf"


@pytest.mark.parametrize(
    ("line", "version", "folder"),
    [
        ("Include=/etc/zabbix/parts/*.conf", None, "/etc/zabbix/parts"),
        ("Include=/etc/zabbix/parts", None, "/etc/zabbix/parts"),
        ("Include=/etc/zabbix/parts/", None, "/etc/zabbix/parts"),
        ("Include=/etc/zabbix/parts/z*_sockets.conf", None, "/etc/zabbix/parts"),
        ("Include=/etc/zabbix/parts/zabbix_sockets.conf", None, "/etc/zabbix/parts"),
        ("Include=./parts/*.conf", (7, 0), "/etc/zabbix/parts"),
        ("Include=./parts/*.conf", (6, 0), "/parts"),
        ("Include=/etc/zabbix/parts/other.conf", None, None),
        ("Include=/etc/zabbix/parts/*.cfg", None, None),
        ("Include=/etc/zabbix/parts/zabbix_socket?.conf", None, None),
        ("Include=/etc/zabbix/*/a.conf", None, None),
        ("Include=/etc/zabbix/missing/*.conf", None, None),
        ("#Include=/etc/zabbix/parts/*.conf", None, None),
        ("Include=/etc/zabbix/first.conf", None, "/etc/zabbix/parts"),
        ("Include=/etc/zabbix/link/*.conf", None, "/etc/zabbix/link"),
    ],
)
def test_include(
    tmp_path: Path, line: str, version: tuple[int, int] | None, folder: str | None
) -> None:
    """The folder is the one that agentd really reads our file from, if there is one."""
    root = plant(
        tmp_path,
        ACCOUNTS,
        {
            CONF: f"{line}\n",
            "usr/sbin/zabbix_agentd": "",
            "etc/zabbix/parts/other.conf": "",
            "etc/zabbix/parts/zabbix_sockets.conf": "",
            "etc/zabbix/first.conf": "Include=/etc/zabbix/parts/*.conf\n",
            "parts/a.conf": "",
        },
    )
    os.symlink("parts", f"{root}/etc/zabbix/link")
    agent = agent_of(root, version)
    assert agent.include_folder == folder
    assert bool(agent.no_folder) == (folder is None)
    if "missing" in line:
        assert agent.no_folder.endswith("mkdir /etc/zabbix/missing")
        assert agent.faults == ("/etc/zabbix/missing: No such file or directory",)


@pytest.mark.parametrize("name", ["zabbix_socket?.conf", "zabbix_[st]ockets.conf", "*[^x].conf"])
def test_patterns_of_agent2(tmp_path: Path, name: str) -> None:
    """Agent 2 knows more patterns, and takes relative ones from its file's folder."""
    root = plant(
        tmp_path,
        DEBIAN_AGENT2,
        {"etc/zabbix/zabbix_agent2.conf": f"Include=zabbix_agent2.d/{name}\n"},
    )
    assert agent_of(root).include_folder == "/etc/zabbix/zabbix_agent2.d"


def test_keys_that_are_there(tmp_path: Path) -> None:
    """Keys have the file that they are in, and settings that allow or deny them are no keys."""
    folder = "etc/zabbix/zabbix_agentd.conf.d"
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        {
            f"{folder}/mine.conf": "UserParameter=sockets.get[*],/opt/x get\n",
            f"{folder}/other.conf": "UserParameter=x,sockets.get\nAllowKey=sockets.*\nDenyKey=*\n",
        },
    )
    agent = agent_of(root)
    assert [(each.value, each.path) for each in agent.user_parameters] == [
        ("sockets.get[*],/opt/x get", f"/{folder}/mine.conf"),
        ("x,sockets.get", f"/{folder}/other.conf"),
    ]


def test_unreadable(tmp_path: Path) -> None:
    """A file that can't be read is said, and the rest is there; a folder is no file."""
    root = plant(tmp_path, DEBIAN_AGENTD)
    os.makedirs(f"{root}/etc/zabbix/part")
    text = "Timeout=9\nInclude=/etc/zabbix/none.conf\nInclude=/etc/zabbix/zabbix_agentd.conf.d/\n"
    (tmp_path / CONF).write_text(text)
    agent = agent_of(root)
    assert agent.faults == ("/etc/zabbix/none.conf: No such file or directory",)
    assert (agent.timeout, agent.include_folder) == (9.0, "/etc/zabbix/zabbix_agentd.conf.d")
    (tmp_path / CONF).unlink()
    (tmp_path / CONF).mkdir()
    agent = agent_of(root)
    assert agent.no_folder == f"/{CONF}: Is a directory"


@pytest.mark.parametrize(
    ("settings", "unit", "user", "group"),
    [
        ("", "", "zabbix", "zabbix"),
        ("User=mon\n", "", "mon", "mon"),
        ("AllowRoot=1\n", "", "root", "root"),
        ("User=mon\n", "User=zabbix\n", "zabbix", "zabbix"),
        ("", "User=zabbix\nGroup=mon\n", "zabbix", "mon"),
        ("", "User=nobody-here\n", "nobody-here", "nobody-here"),
    ],
)
def test_user(tmp_path: Path, settings: str, unit: str, user: str, group: str) -> None:
    """As root agentd becomes its setting's user; the unit's user can't become another."""
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        {
            CONF: settings,
            "lib/systemd/system/zabbix-agent.service": "[Service]\n"
            f"ExecStart=/usr/sbin/zabbix_agentd -f\n{unit}",
            "etc/passwd": f"{ACCOUNTS['etc/passwd']}mon:x:130:131::/:/bin/sh\n",
            "etc/group": f"{ACCOUNTS['etc/group']}mon:x:131:\n",
        },
    )
    agent = agent_of(root)
    assert (agent.user, agent.group) == (user, group)


@pytest.mark.parametrize("hostile", ["AllowRoot=1\n", "User=mon\n", "User=nobody-here\n"])
@pytest.mark.parametrize("place", ["folder", "file", "link"])
def test_user_by_others(tmp_path: Path, hostile: str, place: str) -> None:
    """What others than root may write says nothing about the user: root goes by that."""
    part = "etc/zabbix/zabbix_agentd.conf.d/x.conf"
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        {
            part: hostile,
            "lib/systemd/system/zabbix-agent.service": "[Service]\n"
            "ExecStart=/usr/sbin/zabbix_agentd -f\n",
            "etc/passwd": f"{ACCOUNTS['etc/passwd']}mon:x:130:131::/:/bin/sh\n",
        },
    )
    assert agent_of(root).user != "zabbix"
    if place == "link":
        plant(tmp_path, {"home/x.conf": hostile})
        (tmp_path / part).unlink()
        (tmp_path / part).symlink_to("/home/x.conf")
        (tmp_path / "home").chmod(0o777)
    else:
        ((tmp_path / part) if place == "file" else (tmp_path / part).parent).chmod(0o775)
    assert agent_of(root).user == "zabbix"


def test_version_of_others(tmp_path: Path) -> None:
    """A unit's program that others than root may change is not run to ask for its version."""
    root = plant(
        tmp_path, DEBIAN_AGENTD, {CONF: "Include=parts/*.conf\n", "etc/zabbix/parts/x": ""}
    )
    (tmp_path / "usr/sbin").chmod(0o775)
    assert agent_of(root).include_folder == "/etc/zabbix/parts"


def process(number: int, name: str, uid: int, *arguments: str, **more: str) -> dict[str, str]:
    """Return the files of a process of /proc, whose executable and cgroup come from *more*."""
    words = "\0".join((f"/usr/sbin/{name}", *arguments, ""))
    return {
        f"proc/{number}/status": f"Name:\t{name[:15]}\nPPid:\t{more.get('parent', '1')}\n"
        f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t115\t115\t115\t115\nGroups:\t115 120 \n"
        f"NSpid:\t{more.get('ids', str(number))}\n",
        f"proc/{number}/cgroup": f"0::{more.get('cgroup', '/system.slice/zabbix-agent.service')}\n",
        f"proc/{number}/cmdline": words,
    }


def run(root: str, number: int, executable: str) -> None:
    """Let the process *number* run *executable*."""
    os.symlink(executable, f"{root}/proc/{number}/exe")


def test_running(tmp_path: Path) -> None:
    """The first process of a running agent is found, with its groups; its children aren't."""
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        process(70, "zabbix_agentd", 110, "--foreground"),
        process(71, "zabbix_agentd", 110, "listener", parent="70"),
    )
    run(root, 70, "/usr/sbin/zabbix_agentd")
    run(root, 71, "/usr/sbin/zabbix_agentd")
    agent = agent_of(root)
    assert (agent.pid, agent.unit) == (70, "zabbix-agent.service")
    assert agent.groups == ("zabbix", "docker")
    assert [each.pid for each in running_programs(AGENTD, root)] == [70]


@pytest.mark.parametrize(
    "cgroup",
    [
        "/user.slice/user-0.slice/session-3.scope",
        "/",
        "/user.slice/user-5.slice/user@5.service/a.service",
    ],
)
def test_started_by_hand(tmp_path: Path, cgroup: str) -> None:
    """An agent that no system's unit started has none: nothing restarts a session's scope."""
    root = plant(
        tmp_path,
        {name: text for name, text in DEBIAN_AGENTD.items() if not name.startswith("lib/")},
        process(70, "zabbix_agentd", 110, cgroup=cgroup),
    )
    run(root, 70, "/usr/sbin/zabbix_agentd")
    assert (agent_of(root).pid, agent_of(root).unit) == (70, None)


def test_replaced_executable(tmp_path: Path) -> None:
    """After an upgrade the file of a running agent is another one: it still counts."""
    root = plant(tmp_path, DEBIAN_AGENTD, process(70, "zabbix_agentd", 110))
    run(root, 70, "/usr/sbin/zabbix_agentd (deleted)")
    assert agent_of(root).pid == 70


@pytest.mark.parametrize(
    ("executable", "uid", "more"),
    [
        ("/usr/sbin/zabbix_agentd", 1000, {}),
        ("/home/eve/zabbix_agentd", 110, {}),
        ("/usr/bin/perl", 110, {}),
        ("/usr/sbin/zabbix_agentd", 110, {"ids": "70\t1"}),
        ("/usr/sbin/zabbix_agentd", 110, {"cgroup": f"/system.slice/docker-{'a1' * 32}.scope"}),
    ],
    ids=["user", "file", "name", "namespace", "container"],
)
def test_impostors(tmp_path: Path, executable: str, uid: int, more: dict[str, str]) -> None:
    """Neither another user's process nor another program, nor a container's, is the agent."""
    root = plant(
        tmp_path,
        DEBIAN_AGENTD,
        process(70, "zabbix_agentd", uid, "-c", "/home/eve/evil.conf", **more),
        {"home/eve/evil.conf": "Include=/home/eve\n", "home/eve/zabbix_agentd": ""},
    )
    (tmp_path / "home/eve/zabbix_agentd").chmod(0o777)
    run(root, 70, executable)
    agent = agent_of(root)
    assert (agent.pid, agent.config_path) == (None, "/etc/zabbix/zabbix_agentd.conf")
    assert not running_programs(AGENTD, root)


def test_file_of_a_process_without_a_unit(tmp_path: Path) -> None:
    """It counts if root alone may write it: else whoever may write it would speak to root."""
    arguments = ("-c", "/srv/agent.conf")
    root = plant(
        tmp_path,
        ACCOUNTS,
        process(70, "zabbix_agentd", 110, *arguments, cgroup="/"),
        {"srv/agent.conf": "", "usr/sbin/zabbix_agentd": ""},
    )
    run(root, 70, "/usr/sbin/zabbix_agentd")
    (tmp_path / "srv/agent.conf").chmod(0o666)
    assert find_agents(root, never) == []
    (tmp_path / "srv/agent.conf").chmod(0o644)
    assert agent_of(root).pid == 70


def test_this_host() -> None:
    """Of the host that the tests run on, too, they are found without an error."""
    for agent in find_agents():
        assert agent.config_path.startswith("/")
