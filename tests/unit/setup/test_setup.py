"""What is done to a host with an agent: once, twice, after changes, and taken back."""

import os
from pathlib import Path

import pytest

from tests.unit.host.trees import ACCOUNTS, DEBIAN_AGENT2, DEBIAN_AGENTD, GROUP, PASSWD, plant
from zabbix_sockets.model.errors import SocketsError
from zabbix_sockets.setup.actions import DONE, KEPT

from .hosts import CONF, PACKAGE, SYSTEMD, VENV, Host, Systemd, copy_conf, to_do

KEYS = "/etc/zabbix/zabbix_agentd.conf.d/zabbix_sockets.conf"
UNITS = "/etc/systemd/system"
LOAD = f"{UNITS}/zabbix-sockets-load.service"
MOUNT = f"{UNITS}/run-zabbix\\x2dsockets.mount"


def test_environment(host: Host) -> None:
    """An environment's files are written with its own path, and its units to where they count."""
    assert host.set_up() == []
    assert host.text(KEYS).count(f",{VENV} ") == 3
    assert "/usr/bin/zabbix-sockets" not in host.text(KEYS)
    assert host.text(LOAD).count(f"={VENV} ") == 3
    assert host.text(MOUNT) == (CONF / "systemd/run-zabbix\\x2dsockets.mount").read_text()
    assert host.systemd.calls == [
        host.remembering,
        "systemctl daemon-reload",
        "systemctl enable --now zabbix-sockets-load.service",
        "systemctl try-restart zabbix-agent.service",
    ]


def test_package(host: Host) -> None:
    """A package's files are taken as they are, and its units are where they are."""
    host.own = PACKAGE
    assert to_do(host.plan()) == [
        f"install -m 0644 {CONF}/zabbix_sockets.conf {KEYS}",
        host.remembering,
        "systemctl enable --now zabbix-sockets-load.service",
        "systemctl try-restart zabbix-agent.service",
    ]
    assert host.set_up() == []
    assert host.text(KEYS) == (CONF / "zabbix_sockets.conf").read_text()
    assert not (host.root / LOAD[1:]).exists()


def test_twice(host: Host) -> None:
    """The second time nothing is changed; the agent that doesn't run yet is still to be started."""
    host.set_up()
    before = host.files()
    calls = len(host.systemd.calls)
    plan = host.plan()
    assert {each.state for each in plan.actions} == {DONE}
    assert to_do(plan) == ["systemctl try-restart zabbix-agent.service"]
    host.set_up()
    assert host.files() == before
    assert host.systemd.calls[calls:] == ["systemctl try-restart zabbix-agent.service"]


def test_stopped_agent(host: Host) -> None:
    """An agent that somebody has stopped isn't started; that it doesn't run is said."""
    host.systemd.on.remove("zabbix-agent.service")
    assert host.set_up() == []
    assert not any("agent.service" in each for each in host.systemd.calls)
    assert host.plan().notes == [
        "zabbix-agent.service doesn't run: systemctl start zabbix-agent.service"
    ]


def test_restart_that_fails_at_once(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """An agent that ends as soon as it is restarted was not restarted."""
    host.systemd.ending = "zabbix-agent.service"
    assert host.set_up() == ["1 of 7 steps failed"]
    assert (
        "failed   systemctl try-restart zabbix-agent.service: it ended at once (inactive):"
        " journalctl -u zabbix-agent.service\n"
    ) in capsys.readouterr().out


def test_remove(host: Host) -> None:
    """All is as it was before."""
    before = host.files()
    host.set_up()
    assert host.take_back() == []
    assert host.files() == before
    assert host.systemd.calls[-3:] == [
        "systemctl disable --now zabbix-sockets-load.service",
        "systemctl stop run-zabbix\\x2dsockets.mount",
        f"rm -rf {host.root}/var/lib/zabbix-sockets-110",
    ]


def test_remove_of_what_was_remembered(host: Host) -> None:
    """The folder of the agent's user goes with what calls have put there, and no other."""
    host.set_up()
    before = host.files()
    plant(host.root, {"var/lib/zabbix-sockets-111/kept": ""})
    others = host.files().keys() - before.keys()
    plant(host.root, {"var/lib/zabbix-sockets-110/zabbix-sockets.admitted-process": ""})
    host.take_back()
    assert host.files().keys() & {*others, str(host.root / "var/lib/zabbix-sockets-110")} == others


def test_folder_to_remember_in(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made anew where it is somebody else's, or others may write to it."""
    monkeypatch.undo()
    uid = os.geteuid()
    (host.root / "etc/passwd").write_text(PASSWD.replace(":110:115:", f":{uid}:{uid}:"))
    folder = host.root / f"var/lib/zabbix-sockets-{uid}"
    command = f"install -d -m 0700 -o {uid} -g {uid} {folder}"
    assert command in to_do(host.plan())
    folder.mkdir()
    folder.chmod(0o770)
    assert command in to_do(host.plan())
    folder.chmod(0o700)
    assert command not in to_do(host.plan())
    (host.root / "etc/passwd").write_text(PASSWD.replace(":110:115:", f":{uid + 1}:{uid}:"))
    folder.rename(folder.with_name(f"zabbix-sockets-{uid + 1}"))
    assert any(each.startswith("install -d") for each in to_do(host.plan()))


@pytest.mark.parametrize("path", [KEYS, LOAD])
def test_changed_by_a_person(host: Host, path: str) -> None:
    """It is kept, also by remove; the new one is put beside it once, and goes."""
    host.set_up()
    file = host.root / path[1:]
    file.write_text(f"{file.read_text()}# mine\n")
    ours = file.with_name(f"{file.name}.new")
    for _ in range(2):
        plan = host.plan()
        assert [each.state for each in plan.actions].count(KEPT) == 1
        host.set_up()
        assert file.read_text().endswith("# mine\n")
        assert f"{file.read_text()}" == f"{ours.read_text()}# mine\n"
    (kept,) = host.take_back()
    assert kept.what == f"{path} stays, as somebody changed it"
    assert file.exists()
    assert not ours.exists()


def test_somebodys_file_beside(host: Host) -> None:
    """What a person has put where the new file would go stays, also when all is taken back."""
    keys = host.root / "etc/zabbix/zabbix_agentd.conf.d/zabbix_sockets.conf"
    keys.write_text("UserParameter=sockets.get,mine\n")
    notes = keys.with_name(f"{keys.name}.new")
    notes.write_text("notes\n")
    assert host.set_up() == []
    assert notes.read_text() == "notes\n"
    host.take_back()
    assert notes.read_text() == "notes\n"


def test_nothing_beside_where_all_is_read(host: Host) -> None:
    """An agent that reads every file of the folder would have each key twice, and not start."""
    (host.root / "etc/zabbix/zabbix_agentd.conf").write_text(
        "Include=/etc/zabbix/zabbix_agentd.conf.d\n"
    )
    host.set_up()
    (host.root / KEYS[1:]).write_text("UserParameter=sockets.get[*],mine\n")
    (kept,) = [each for each in host.plan().actions if each.state == KEPT]
    assert kept.what.startswith(
        f"{KEYS} is kept, as somebody changed it; the new one would be made"
    )
    host.set_up()
    folder = host.root / KEYS[1:].rpartition("/")[0]
    assert sorted(os.listdir(folder)) == [".keep", "zabbix_sockets.conf"]


def test_keys_of_a_person(host: Host) -> None:
    """Keys in another file stay there: the same key twice keeps agentd from starting."""
    other = host.root / "etc/zabbix/zabbix_agentd.conf.d/sockets.conf"
    other.write_text("UserParameter=sockets.get[*],/usr/bin/sudo -n x\n")
    plan = host.plan()
    assert not any("zabbix_sockets.conf" in each for each in to_do(plan))
    assert "which is kept" in plan.notes[0]


def test_own_keys_of_other_names(host: Host) -> None:
    """A key that only begins like one of ours is nobody's double."""
    other = host.root / "etc/zabbix/zabbix_agentd.conf.d/sockets.conf"
    other.write_text("UserParameter=sockets.mine[*],/bin/true\n")
    host.set_up()
    assert "zabbix_sockets" in host.text(KEYS)
    assert host.plan().faults == []


@pytest.mark.parametrize("name", ["old.conf", "zz.conf"])
def test_key_twice(host: Host, name: str) -> None:
    """Keys in a person's file besides ours keep the agent from starting: a fault, no restart."""
    host.set_up()
    plant(host.root, {f"{KEYS[1:].rpartition('/')[0]}/{name}": "UserParameter=sockets.get[*],x\n"})
    plan = host.plan()
    other = f"{KEYS.rpartition('/')[0]}/{name}"
    assert plan.faults == [
        f"{KEYS} and {other} have the same key, with which no agent starts: rm {other}"
    ]
    assert to_do(plan) == []
    (host.root / other[1:]).write_text("UserParameter=sockets.other,x\n")
    assert host.plan().faults == []


@pytest.fixture
def moved(host: Host) -> Host:
    """Return a host that was set up, whose agent includes another folder since."""
    host.set_up()
    config = host.root / "etc/zabbix/zabbix_agentd.conf"
    config.write_text("Include=/etc/zabbix/new.d/*.conf\n")
    (host.root / "etc/zabbix/new.d").mkdir()
    return host


NEW_KEYS = "/etc/zabbix/new.d/zabbix_sockets.conf"


def test_include_that_was_changed(moved: Host) -> None:
    """The keys go into the new folder, and from the former one, unless a person changed them."""
    assert moved.set_up() == []
    assert "zabbix_sockets" in moved.text(NEW_KEYS)
    assert not (moved.root / KEYS[1:]).exists()
    assert not any(KEYS in each.what for each in moved.plan().actions)
    moved.take_back()
    assert not (moved.root / NEW_KEYS[1:]).exists()


def test_include_of_both_folders(moved: Host) -> None:
    """A copy of ours in both folders is one too many, and goes; one that was changed is said."""
    moved.set_up()
    config = moved.root / "etc/zabbix/zabbix_agentd.conf"
    config.write_text(f"{config.read_text()}Include=/etc/zabbix/zabbix_agentd.conf.d/*.conf\n")
    text = moved.text(NEW_KEYS)
    plant(moved.root, {KEYS[1:]: f"{text}# mine\n"})
    assert moved.plan().faults == [
        f"{NEW_KEYS} and {KEYS} have the same key, with which no agent starts: rm {KEYS}"
    ]
    plant(moved.root, {KEYS[1:]: text})
    assert f"rm {KEYS}" in to_do(moved.plan())
    assert moved.set_up() == []
    assert not (moved.root / KEYS[1:]).exists()
    assert moved.plan().faults == []


def test_commands_are_quoted(host: Host) -> None:
    """What a person is to type runs nothing else, whatever an agent's user has called a file."""
    hostile = "/etc/zabbix/zabbix_agentd.conf.d/a.conf;id;.conf"
    plant(host.root, {hostile[1:]: "UserParameter=sockets.get[*],x\n"})
    host.set_up()
    plant(host.root, {KEYS[1:]: "UserParameter=sockets.get[*],x\n"})
    (fault,) = host.plan().faults
    assert fault.endswith(f": rm '{hostile}'")
    config = host.root / "etc/zabbix/zabbix_agentd.conf"
    config.write_text("Include=/etc/zabbix/a;id;/*.conf\n")
    assert host.plan().faults[0].endswith(": mkdir '/etc/zabbix/a;id;'")


@pytest.mark.parametrize("is_below", [True, False])
def test_folder_that_others_name(host: Host, is_below: bool) -> None:
    """Who may change an agent's file has root write below its folder, and not where others read."""
    folder = "/etc/zabbix/parts.d" if is_below else "/etc/apt/apt.conf.d"
    (host.root / folder[1:]).mkdir(parents=True)
    config = host.root / "etc/zabbix/zabbix_agentd.conf"
    config.write_text(f"Include={folder}/*.conf\n")
    config.chmod(0o666)
    faults = host.plan().faults
    host.set_up()
    assert (host.root / folder[1:] / "zabbix_sockets.conf").exists() == is_below
    if is_below:
        assert faults == []
    else:
        (fault,) = faults
        assert "/etc/zabbix/zabbix_agentd.conf, which others than root may change" in fault
        config.chmod(0o644)
        assert host.plan().faults == []


def test_unreadable_include(moved: Host) -> None:
    """Where the agent includes no folder nothing is taken away: it may be by mistake."""
    (moved.root / "etc/zabbix/zabbix_agentd.conf").write_text("Server=127.0.0.1\n")
    moved.set_up()
    assert (moved.root / KEYS[1:]).exists()


def test_both_agents_one_folder(host: Host) -> None:
    """A folder that both agents include has the file once."""
    plant(host.root, DEBIAN_AGENT2)
    config = "Include=/etc/zabbix/zabbix_agentd.conf.d/*.conf\n"
    (host.root / "etc/zabbix/zabbix_agent2.conf").write_text(config)
    found = to_do(host.plan())
    assert len([each for each in found if KEYS in each]) == 1
    assert found[-2:] == [
        "systemctl try-restart zabbix-agent.service",
        "systemctl try-restart zabbix-agent2.service",
    ]


def test_no_folder(host: Host) -> None:
    """An agent that includes nothing gets nothing, and the line that it lacks is said."""
    (host.root / "etc/zabbix/zabbix_agentd.conf").write_text("Server=127.0.0.1\n")
    assert host.set_up() == ["something is missing"]
    assert "add the line Include=/etc/zabbix/zabbix_agentd.d/*.conf" in host.plan().faults[0]
    assert not (host.root / KEYS[1:]).exists()


def test_no_agent(tmp_path: Path) -> None:
    """Without an agent there is an error that says what can be done."""
    host = Host(Path(plant(tmp_path, ACCOUNTS, SYSTEMD)))
    with pytest.raises(SocketsError, match="no Zabbix agent") as caught:
        host.plan()
    assert "--push" in caught.value.hint


def test_left_configuration(tmp_path: Path) -> None:
    """A configuration that outlived its agent is none."""
    tree = {path: text for path, text in DEBIAN_AGENTD.items() if path.startswith("etc/")}
    host = Host(Path(plant(tmp_path, tree)))
    with pytest.raises(SocketsError) as caught:
        host.plan()
    assert "there is /etc/zabbix/zabbix_agentd.conf, and no program" in caught.value.hint


def test_group(host: Host) -> None:
    """The pins are for the agent's own group, told to the unit by a drop-in."""
    (host.root / "etc/passwd").write_text(PASSWD.replace("zabbix", "zbx"))
    (host.root / "etc/group").write_text(GROUP.replace("zabbix", "zbx"))
    unit = host.root / "lib/systemd/system/zabbix-agent.service"
    unit.write_text(unit.read_text().replace("=zabbix", "=zbx"))
    before = host.files()
    host.set_up()
    drop_in = f"{UNITS}/zabbix-sockets-load.service.d/zabbix-sockets-setup.conf"
    assert host.text(drop_in) == "[Service]\nEnvironment=PINS_GROUP=zbx\n"
    host.take_back()
    assert host.files() == before


@pytest.mark.parametrize(
    "group",
    [
        "nogroup:x:65534:",
        "nobody:x:99:",
        "users:x:100:",
        "root:x:0:",
        "staff:x:50:alice",
        "mail:x:8:",
    ],
)
def test_group_of_many(host: Host, group: str) -> None:
    """What all processes' owners may see is never for a group of many: the agent joins zabbix."""
    unit = host.root / "lib/systemd/system/zabbix-agent.service"
    name = group.partition(":")[0]
    unit.write_text(
        unit.read_text().replace("User=zabbix\nGroup=zabbix", f"User=mon2\nGroup={name}")
    )
    passwd = "root:x:0:0::/:/bin/sh\nmon2:x:130:130::/:/bin/sh\nmail:x:8:8::/:/bin/sh\n"
    (host.root / "etc/passwd").write_text(passwd)
    (host.root / "etc/group").write_text(f"{group}\nmon2:x:130:\n")
    assert host.set_up() == []
    assert host.systemd.calls[:2] == ["groupadd --system zabbix", "usermod -aG zabbix mon2"]
    assert not (host.root / f"{UNITS}/zabbix-sockets-load.service.d"[1:]).exists()


def test_primary_group_that_the_unit_replaces(host: Host) -> None:
    """A user whose primary group is zabbix has to join it, where its unit takes another one."""
    unit = host.root / "lib/systemd/system/zabbix-agent.service"
    unit.write_text(unit.read_text().replace("Group=zabbix", "Group=nogroup"))
    (host.root / "etc/group").write_text(f"{GROUP}nogroup:x:65534:\n")
    assert "usermod -aG zabbix zabbix" in to_do(host.plan())
    (host.root / "etc/group").write_text(f"{GROUP[:-1]}zabbix\nnogroup:x:65534:\n")
    assert not any("usermod" in each for each in to_do(host.plan()))


def test_group_that_was_told_before(host: Host) -> None:
    """The drop-in of a former call goes where the group is zabbix now, and the unit is reloaded."""
    host.systemd.on.add("zabbix-sockets-load.service")
    host.systemd.has_loaded = True
    path = f"{UNITS}/zabbix-sockets-load.service.d/zabbix-sockets-setup.conf"
    text = "[Service]\nEnvironment=PINS_GROUP=nogroup\n"
    plant(host.root, {path[1:]: text})
    host.record(path, text)
    found = to_do(host.plan())
    assert f"rm {path}" in found
    assert "systemctl reload zabbix-sockets-load.service" in found


def test_two_groups(host: Host) -> None:
    """Of agents without a group in common the second's user joins the first's."""
    plant(host.root, DEBIAN_AGENT2)
    (host.root / "etc/passwd").write_text(f"{PASSWD}two:x:140:140::/:/bin/sh\n")
    (host.root / "etc/group").write_text(f"{GROUP}two:x:140:\n")
    unit = host.root / "lib/systemd/system/zabbix-agent2.service"
    unit.write_text(unit.read_text().replace("=zabbix\n", "=two\n"))
    host.set_up()
    assert "usermod -aG zabbix two" in host.systemd.calls


def test_iterators_that_this_host_cannot_load(host: Host) -> None:
    """No unit is enabled that would fail; why is said."""
    host.no_iterators = "the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)"
    plan = host.plan()
    assert not any("zabbix-sockets-load" in each for each in to_do(plan))
    assert "the kernel has no BTF" in plan.notes[0]


@pytest.mark.parametrize("folder", [UNITS, "/run/systemd/system"])
@pytest.mark.parametrize("is_packaged", [True, False])
def test_masked(host: Host, folder: str, is_packaged: bool) -> None:
    """Units that a person has masked are left alone, and how to unmask them is said."""
    plant(host.root, {"usr/bin/podman": ""})
    if is_packaged:
        host.own = PACKAGE
    for name in ("zabbix-sockets-load.service", "zabbix-sockets-names.timer"):
        (host.root / folder[1:] / name).symlink_to("/dev/null")
    before = host.files()
    plan = host.plan()
    assert plan.notes == [
        "zabbix-sockets-load.service is masked: systemctl unmask zabbix-sockets-load.service",
        "zabbix-sockets-names.timer is masked: systemctl unmask zabbix-sockets-names.timer",
    ]
    assert host.set_up() == []
    assert host.systemd.calls == [host.remembering, "systemctl try-restart zabbix-agent.service"]
    host.take_back()
    assert host.files() == before


def test_without_systemd(host: Host) -> None:
    """The iterators are loaded at once, and the line for the boot is said."""
    (host.root / "run/systemd/system/.keep").unlink()
    (host.root / "run/systemd/system").rmdir()
    plan = host.plan()
    assert to_do(plan)[1:] == [host.remembering, f"{VENV} load --group zabbix"]
    assert plan.notes == [
        "start the agentd of /etc/zabbix/zabbix_agentd.conf",
        (
            "systemd doesn't run here: have this run at boot as root, before the agent:"
            f" {VENV} load --group zabbix"
        ),
    ]


def test_failure(host: Host) -> None:
    """A step that fails is told, the others are done, and the next call tries that one alone."""
    host.systemd = Systemd(failing="enable --now")
    assert host.set_up() == ["1 of 7 steps failed"]
    assert host.systemd.calls[-1] == "systemctl try-restart zabbix-agent.service"
    host.systemd = Systemd()
    assert to_do(host.plan())[0] == "systemctl enable --now zabbix-sockets-load.service"
    assert host.set_up() == []


@pytest.mark.parametrize(
    "place", ["var/lib/docker", "usr/bin/podman", "var/lib/containers/storage"]
)
def test_containers(host: Host, place: str) -> None:
    """Where containers may be, their names are kept for the agent."""
    (host.root / place).mkdir(parents=True)
    found = to_do(host.plan())
    assert "systemctl enable --now zabbix-sockets-names.path zabbix-sockets-names.timer" in found
    host.set_up()
    assert f"{VENV} names" in host.text(f"{UNITS}/zabbix-sockets-names.service")
    assert set(to_do(host.plan())) == {"systemctl try-restart zabbix-agent.service"}


def test_selinux(host: Host) -> None:
    """Where SELinux is on the module is loaded, once; it goes with the rest."""
    plant(host.root, {"sys/fs/selinux/enforce": "1", "usr/sbin/semodule": ""})
    host.own = PACKAGE
    load = f"semodule -i {CONF}/selinux/zabbix_sockets.pp"
    folder = host.remembering.replace(" /", " -Z /")
    found = to_do(host.plan())
    assert found.index(load) < found.index(folder)  # which has its label by the module
    host.set_up()
    found = to_do(host.plan())
    assert load not in found
    assert folder in found  # the test's folder can't have that label
    (host.systemd.store / "hll").write_bytes(b"another version's")
    assert load in to_do(host.plan())
    host.take_back()
    assert "semodule -r zabbix_sockets" in host.systemd.calls


def test_selinux_without_its_tools(host: Host) -> None:
    """It can't be loaded, and what is missing is said."""
    plant(host.root, {"sys/fs/selinux/enforce": "0"})
    assert host.plan().faults == [
        "SELinux is on, and there is no semodule: install policycoreutils"
    ]


@pytest.fixture
def former(host: Host) -> Host:
    """Return the host with 0.1.0 as its README has it: copies by hand, and an environment."""
    copy_conf("zabbix_sockets.conf", host.root / KEYS[1:], VENV)
    for path in (LOAD, MOUNT):
        copy_conf(f"systemd/{path.rpartition('/')[2]}", host.root / path[1:], VENV)
    plant(host.root, {"opt/zabbix-sockets/bin/python3": "", "usr/local/bin/zabbix-sockets": ""})
    host.own = PACKAGE
    host.systemd = Systemd("zabbix-sockets-load.service")
    return host


def test_upgrade_of_a_former_layout(former: Host) -> None:
    """Unchanged copies are replaced by the package's files; the environment is left to a person."""
    plan = former.plan()
    assert to_do(plan) == [
        f"install -m 0644 {CONF}/zabbix_sockets.conf {KEYS}",
        former.remembering,
        f"rm '{MOUNT}'",
        f"rm {LOAD}",
        "systemctl daemon-reload",
        "systemctl reload zabbix-sockets-load.service",
        "systemctl try-restart zabbix-agent.service",
    ]
    assert plan.notes == [
        (
            "a former installation is left: rm -rf /usr/local/bin/zabbix-sockets"
            " /opt/zabbix-sockets /opt/zabbix-sockets-2*"
        )
    ]
    former.set_up()
    assert not (former.root / LOAD[1:]).exists()
    assert former.text(KEYS) == (CONF / "zabbix_sockets.conf").read_text()


def test_upgrade_of_a_changed_layout(former: Host) -> None:
    """A copy that a person changed is kept, and said."""
    file = former.root / LOAD[1:]
    file.write_text(file.read_text().replace("TimeoutStartSec=30", "TimeoutStartSec=90"))
    former.set_up()
    assert "TimeoutStartSec=90" in file.read_text()
    assert f"{LOAD} is kept, as somebody changed it" in [
        each.what for each in former.plan().actions
    ]


def test_folders_of_units_go(host: Host) -> None:
    """What units have left below /run goes with them: containers' names, the mount's folder."""
    plant(host.root, {"usr/bin/podman": ""})
    host.set_up()
    plant(host.root, {"run/zabbix-sockets-names/containers": "x"})
    (host.root / "run/zabbix-sockets").mkdir()
    host.take_back()
    assert f"rm -rf {host.root}/run/zabbix-sockets-names" in host.systemd.calls
    assert not (host.root / "run/zabbix-sockets").exists()
