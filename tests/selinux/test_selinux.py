"""The SELinux module, joined with Debian's policy; nothing here needs a kernel with SELinux.

Small policies are made of the modules that have to do with an agent, and with all rounds
(tests/support/rounds.py) of all that Debian ships.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import rounds

from zabbix_sockets.command.admitted import file_name
from zabbix_sockets.host import state_folder
from zabbix_sockets.model.paths import STATE_FOLDER

from . import policies
from .policies import Policy

AGENT = "zabbix_agent_t"
UNITS = ("initrc_t", "init_t")
"""The domains of root's units: that in which systemd starts them, and its own, which those stay in
that may gain no privileges, where a policy doesn't let them change it then. (In RHEL the former is
unconfined_service_t.)"""

NEEDED = {
    ("shell_exec_t", "file"): "execute execute_no_trans getattr map open read",
    ("bin_t", "file"): "execute execute_no_trans getattr map open read",
    ("bin_t", "dir"): "search",
    ("bin_t", "lnk_file"): "read",
    ("lib_t", "dir"): "getattr lock open read search",
    ("lib_t", "file"): "execute getattr map open read",
    ("lib_t", "lnk_file"): "read",
    ("etc_t", "file"): "getattr open read",
    (AGENT, "process"): "fork getrlimit sigchld sigkill",
    (AGENT, "fifo_file"): "read write",
    (AGENT, "netlink_tcpdiag_socket"): "create nlmsg_read read write",
    ("bpf_t", "dir"): "getattr open read search",
    ("bpf_t", "file"): "getattr open read",
    ("proc_t", "dir"): "getattr open read search",
    ("proc_t", "file"): "getattr open read",
    ("proc_net_t", "dir"): "search",
    ("proc_net_t", "file"): "getattr open read",
    ("sysctl_net_t", "file"): "open read",
    ("init_t", "dir"): "getattr open read search",
    ("init_t", "file"): "getattr open read",
    ("init_t", "lnk_file"): "read",
    ("nsfs_t", "file"): "getattr",
    ("cgroup_t", "dir"): "getattr open read search",
    ("sysfs_t", "file"): "getattr",
    ("var_run_t", "dir"): "search",
    ("var_lib_t", "dir"): "search",
    ("zabbix_var_run_t", "dir"): "add_name getattr remove_name search write",
    ("zabbix_var_run_t", "file"): "create getattr lock open read rename unlink write",
    ("tmpfs_t", "dir"): "add_name search write",
    ("zabbix_tmpfs_t", "dir"): "add_name create getattr remove_name search write",
    ("zabbix_tmpfs_t", "file"): "create getattr lock open read rename unlink write",
}
"""What a call asks for, by the types of the files that it opens (strace) and of processes."""

LOADING = {
    ("self", "bpf"): "map_create map_read map_write prog_load prog_run",
    ("self", "capability"): "chown dac_read_search",
    ("self", "capability2"): "bpf perfmon",
    ("bpf_t", "dir"): "add_name open read remove_name search write",
    ("bpf_t", "file"): "create rename setattr unlink",
    ("var_run_t", "dir"): "add_name relabelfrom search write",
    ("zabbix_var_run_t", "dir"): "add_name relabelto remove_name search write",
    ("zabbix_var_run_t", "file"): "create rename write",
}
"""What root's units ask for: to load the iterators, and to write the file of containers' names into
a folder that `install -Z` gives its type."""

_NO_TOOLS = "no policy, or no checkpolicy, semodule-utils, setools (tests/requirements.sh)"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Debian's modules, the base first."""
    if not policies.is_there():
        pytest.skip(_NO_TOOLS)
    return policies.unpack_modules(tmp_path_factory.mktemp("modules"), every=not rounds.IS_SHORT)


@pytest.fixture(scope="module")
def before(shipped: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Debian's policy."""
    return policies.link(shipped, tmp_path_factory.mktemp("policy") / "before")


@pytest.fixture(scope="module")
def after(shipped: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """The same with our module."""
    modules = [*shipped, policies.OURS]
    return policies.link(modules, tmp_path_factory.mktemp("policy") / "after")


@pytest.fixture
def given() -> set[policies.Permission]:
    """The permissions that stand in the module's source."""
    return policies.parse_permissions(policies.SOURCE.read_text().splitlines())


def test_module_is_up_to_date(tmp_path: Path) -> None:
    """The module is what its source compiles to."""
    build = policies.SOURCE.with_name("build.sh")
    try:
        subprocess.run([build, tmp_path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"checkpolicy or semodule-utils is missing: {error}")
    assert (tmp_path / policies.OURS.name).read_bytes() == policies.OURS.read_bytes()


@pytest.mark.parametrize(("target", "kind"), NEEDED)
def test_agent_may_ask(after: Policy, target: str, kind: str) -> None:
    """With the module an agent in its domain has all permissions that a call asks for."""
    assert set(NEEDED[target, kind].split()) <= after.allowed(AGENT, target, kind)


def test_module_gives_only_what_is_needed_and_lacking(
    before: Policy, given: set[policies.Permission]
) -> None:
    """A call asks for each permission that the module gives, and has it not without."""
    assert given
    for each in given:
        assert each.source == AGENT
        assert each.name in NEEDED[each.target, each.kind].split(), each
        assert each.name not in before.allowed(AGENT, each.target, each.kind), each


def test_nothing_else_changes(
    before: Policy, after: Policy, given: set[policies.Permission]
) -> None:
    """All rules of the policy stay, and those of the module alone are added, for whomever."""
    assert before.permissions
    assert after.permissions - before.permissions == given
    assert before.permissions <= after.permissions


def test_types_of_new_files(before: Policy, after: Policy) -> None:
    """One transition is added: a folder that the agent makes in a tmpfs gets the agent's type."""
    added = {f"type_transition {AGENT} tmpfs_t:dir zabbix_tmpfs_t;"}
    assert after.transitions - before.transitions == added
    assert before.transitions <= after.transitions


@pytest.mark.parametrize("domain", UNITS)
@pytest.mark.parametrize(("target", "kind"), LOADING)
def test_units_need_no_module(before: Policy, domain: str, target: str, kind: str) -> None:
    """The domains of root's units may do their work by Debian's policy."""
    assert f"type_transition init_t bin_t:process {UNITS[0]};" in before.transitions
    allowed = before.allowed(domain, domain if target == "self" else target, kind)
    assert set(LOADING[target, kind].split()) <= allowed


def test_folders_have_the_agents_type() -> None:
    """The agent may read containers' names, and write what it remembers: by each path's label."""
    contexts = policies.SOURCE.with_suffix(".fc").read_text()
    labelled = dict(re.findall(r"^(/\S+)\s+system_u:object_r:(\w+):s0$", contexts, re.MULTILINE))
    names = [f"{folder}/zabbix-sockets-names(/.*)?" for folder in ("/run", "/var/run")]
    remembering = f"{STATE_FOLDER}-[0-9]+(/.*)?"
    assert labelled == dict.fromkeys([*names, remembering], "zabbix_var_run_t")
    assert re.fullmatch(remembering, f"{STATE_FOLDER}-{998}/{file_name('process')}.new")
    assert contexts.encode() in policies.OURS.read_bytes()


def test_type_is_what_setup_asks_for(after: Policy) -> None:
    """The type of these folders is one by which `setup` and `check` know a right label."""
    (label,) = {name for name in after.names_of("zabbix_var_run_t") if name.endswith("_t")}
    assert label in state_folder.TYPES
