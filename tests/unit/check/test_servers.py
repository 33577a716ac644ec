"""Which servers are asked, and as what."""

from __future__ import annotations

import grp
from pathlib import Path

import pytest

from zabbix_sockets.check.children import User
from zabbix_sockets.check.line import Line, ok, unknown
from zabbix_sockets.check.push import check_push
from zabbix_sockets.check.push_service import own_servers, service_of
from zabbix_sockets.check.servers import check_servers
from zabbix_sockets.check.trapper import ANSWERS, HANGS, KEY, NO_CONNECTION, STRANGE, TLS, judged
from zabbix_sockets.check.units import SEND_UNIT

from .agent_faults import listening
from .server_faults import RESPONSE, answering, exec_start
from .trees import CONFIG, Tree


@pytest.mark.parametrize(
    ("options", "servers"),
    [
        ("", ""),
        ("--agent-config /etc/zabbix/x.conf", ""),
        ("--server 192.0.2.9 --host web1", "192.0.2.9"),
        ("--server=a --server b:1", "a,b:1"),
        ("--server a;b", "a;b"),
        ("--server a --server b:1 --port 7", "a:7,b:1"),
    ],
)
def test_own_servers(options: str, servers: str) -> None:
    """They are those of the options --server, each with its port."""
    assert sorted(own_servers({"ExecStart": exec_start(options)}).split(",")) == servers.split(",")


def test_no_command() -> None:
    """A unit whose command systemd doesn't show names no server."""
    assert not own_servers({})


def test_the_agents_server_is_not_pushed_to(tmp_path: Path) -> None:
    """Where the service names its own, the packages' default is nothing to mend."""
    tree = Tree(tmp_path)
    with listening(lambda _: None) as port:
        tree.boot_systemd(SEND_UNIT, ExecStart=exec_start(f"--server localhost:{port}"))
        agent = tree.agent(("ServerActive", "127.0.0.1:1"))
        lines = list(check_servers(tree(), (agent,)))
    assert lines == [
        unknown(
            "server",
            f"localhost port {port} takes connections; zabbix_sender was not tried: there is no"
            " zabbix_sender",
        ),
        ok("server", "none at 127.0.0.1 port 1, the packages' default; nothing is pushed there"),
    ]


@pytest.mark.parametrize(
    "said",
    [
        "a: sent 3, failed 0",
        "a: sent 3, failed 0, 2 waiting",
        "a: sent 3, failed 0; b;c: sent 3, failed 0",
        "first push in 7 s",
    ],
)
def test_nothing_has_failed(said: str, tmp_path: Path) -> None:
    """What is on its way, or has not begun, is no failure."""
    tree = Tree(tmp_path)
    tree.boot_systemd(SEND_UNIT, StatusText=said)
    line: Line = next(iter(check_push(tree(), (tree.agent(),))))
    assert line == ok("push unit", f"active; the last push: {said}")


@pytest.mark.parametrize(
    ("options", "settings", "how"),
    [
        ("", (), "without TLS"),
        ("", (("TLSConnect", "psk"),), "over TLS with a pre-shared key"),
        ("--tls-connect cert", (("TLSConnect", "psk"),), "over TLS with certificates"),
        ("--host=web1", (("TLSConnect", "psk"),), "over TLS with a pre-shared key"),
    ],
)
def test_server_answers(
    options: str, settings: tuple[tuple[str, str], ...], how: str, tmp_path: Path
) -> None:
    """One value that it didn't take is what it says when all is well."""
    with answering(Tree(tmp_path), RESPONSE, *settings, options=options) as (system, agent):
        (line,) = check_servers(system, (agent,))
    assert (line.state, line.next) == ("ok", "")
    assert line.message.endswith(f" answers zabbix_sender, {how}")


def test_question_is_the_push(tmp_path: Path) -> None:
    """It has the options of the service's process, its credentials and its agent's file."""
    tree = Tree(tmp_path)
    tree.write("/run/credentials/tls-psk-file", "5a" * 32)
    options = "--interval 60 --source-address 127.0.0.1 --tls-psk-identity=a"
    with answering(tree, RESPONSE, options=options) as (system, agent):
        folder = f"{tmp_path}/run/credentials"
        tree.write("/proc/77/environ", f"A=1\0CREDENTIALS_DIRECTORY={folder}\0B=2\0")
        tree.program("zabbix_sender", f'echo "$@" >{tmp_path}/said; cat >>{tmp_path}/said')
        list(check_servers(system, (agent,)))
        (destination,) = agent.value("ServerActive").split(",")
    call, line = (tmp_path / "said").read_text().splitlines()
    assert call == (
        f"-vv -c {tmp_path}{CONFIG} -z {destination} -t 5 -I 127.0.0.1 --tls-psk-identity a"
        f" --tls-psk-file {folder}/tls-psk-file -T -N -i -"
    )
    assert line.split()[:2] == ['"web1"', f'"{KEY}"']


def test_user_of_the_service(tmp_path: Path) -> None:
    """It is asked as the user of its process, with its groups; as one like it where none runs."""
    tree = Tree(tmp_path)
    tree.boot_systemd(SEND_UNIT, MainPID="77", Group="daemon")
    tree.write("/proc/77/status", "Uid:\t5\t6\t6\t6\nGid:\t7\t8\t8\t8\nGroups:\t9 10 \n")
    state = {"MainPID": "77", "Group": "daemon"}
    service = service_of(tree(), state, (), root=True)
    assert service.user == User("zabbix-sockets", 6, 8, (9, 10))
    gid = grp.getgrnam("daemon").gr_gid
    state = {"MainPID": "0", "Group": "daemon"}
    assert service_of(tree(), state, (), root=True).user == User("zabbix-sockets", 61184, gid, ())
    assert service_of(tree(), state, (), root=False).user is None


def test_no_time_for_an_answer(tmp_path: Path) -> None:
    """Where the check has to end before zabbix_sender does, it is known how to ask again."""
    tree = Tree(tmp_path)
    tree.seconds = 1.3  # zabbix_sender has a second, and a bit
    with answering(tree, RESPONSE) as (system, agent):
        tree.program("zabbix_sender", "exec sleep 60")
        (line,) = check_servers(system, (agent,))
    assert (line.state, line.message.rpartition(": ")[2]) == ("broken", "zabbix_sender did not end")
    assert f"-s web1 -k {KEY}" in line.next


def test_credentials_of_a_service_that_is_not_there(tmp_path: Path) -> None:
    """Without its process there is no key to ask with, and a connection is all that is tried."""
    tree = Tree(tmp_path)
    folder = f"/etc/systemd/system/{SEND_UNIT}.d"
    tree.write(f"{folder}/credentials.conf", "[Service]\nLoadCredential=tls-psk-file:/etc/psk\n")
    with answering(tree, RESPONSE) as (system, agent):
        tree.boot_systemd(SEND_UNIT, MainPID="0", ActiveState="failed")
        (line,) = check_servers(system, (agent,))
    assert line.state == "unknown"
    assert "zabbix_sender was not tried: its credentials" in line.message


SUBJECTS = 'subject: peer: "CN=server", required: "CN=else"'


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("", ANSWERS, ""),
        ("zabbix_sender did not end within 1.4 s", HANGS, None),
        ("Unable to receive from [127.0.0.1]:1 [ZBX_TCP_READ() timed out]", HANGS, None),
        (f"TCP successful, cannot establish TLS to [[::1]:1]: {SUBJECTS}]", TLS, SUBJECTS),
        (
            "zbx_tls_connect() gnutls_handshake() returned: -54 Error in the pull function",
            TLS,
            None,
        ),
        ('incorrect answer from "127.0.0.1:1": []', STRANGE, None),
        (
            "cannot connect to [[127.0.0.1]:1]: connection error (POLLERR,POLLHUP)",
            NO_CONNECTION,
            None,
        ),
    ],
)
def test_judged(error: str, kind: str, reason: str | None) -> None:
    """What zabbix_sender says, of 6.0 and 7.0, has one meaning."""
    assert judged(error) == (kind, error if reason is None else reason)
