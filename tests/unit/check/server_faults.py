"""Faults of pushing, and of servers that can't be reached."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.line import BROKEN, DEGRADED, UNKNOWN, Line
from zabbix_sockets.check.push import SET_UP, check_push
from zabbix_sockets.check.servers import check_servers
from zabbix_sockets.check.system import System
from zabbix_sockets.check.units import SEND_UNIT
from zabbix_sockets.sending.lines import Value
from zabbix_sockets.sending.spool import FILE, FOLDER, Spool

from .agent_faults import listening
from .trees import CONFIG, Faults, Tree, fault

FAULTS: Faults = []
that = partial(fault, FAULTS)

AS_ROOT = "sudo zabbix-sockets check"
JOURNAL = f"journalctl -u {SEND_UNIT} -n 20"
PSK = "/etc/zabbix/zabbix_agentd.psk"


def exec_start(options: str) -> str:
    """Return the property ExecStart of the service with these options, as systemctl shows it."""
    command = "/usr/bin/zabbix-sockets"
    return (
        f"{{ path={command} ; argv[]={command} send --interval 60 {options} ; ignore_errors=no ;"
        " start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )


def _pushing(tree: Tree, *more: tuple[str, str], **state: str) -> Iterable[Line]:
    if not (tree.root / "run/systemd/system").exists():
        tree.boot_systemd(SEND_UNIT, **state)
    return check_push(tree(), (tree.agent(*more),))


@that("push unit", BROKEN, "has failed: no room", f"systemctl restart {SEND_UNIT}")
def _push_failed(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, journal="no room", ActiveState="failed")


@that("push unit", BROKEN, "is not started (inactive)", f"systemctl start {SEND_UNIT}")
def _push_not_started(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, ActiveState="inactive")


@that(
    "push unit", BROKEN, "there is no group no-such", "groupadd --system no-such && systemctl ..."
)
def _push_without_its_group(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, ActiveState="activating", Group="no-such")


@that("push unit", BROKEN, "the last push: zabbix.example.com: sent 0, failed 1", JOURNAL)
def _push_refused(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, StatusText="zabbix.example.com: sent 0, failed 1")


@that("push unit", BROKEN, "failed 0, 2 waiting: Unable to connect to [192.0.2.9]", JOURNAL)
def _push_without_connection(tree: Tree) -> Iterable[Line]:
    said = "192.0.2.9: sent 0, failed 0, 2 waiting: Unable to connect to [192.0.2.9]:10051"
    return _pushing(tree, StatusText=said, ExecStart=exec_start("--server 192.0.2.9"))


@that("push unit", BROKEN, "b: sent 0, failed 3", JOURNAL)
def _push_refused_by_one_of_two(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, StatusText="a: sent 3, failed 0; b: sent 0, failed 3")


@that("push unit", BROKEN, f"set ServerActive= in {CONFIG}, or: {SET_UP}", SET_UP)
def _push_of_an_untouched_configuration(tree: Tree) -> Iterable[Line]:
    said = "127.0.0.1: sent 0, failed 0, 1 waiting: Unable to connect to [127.0.0.1]:10051"
    return _pushing(tree, ("ServerActive", "127.0.0.1"), StatusText=said)


@that("push unit", BROKEN, f"no ServerActive: set ServerActive= in {CONFIG}, or: ", SET_UP)
def _push_to_nowhere(tree: Tree) -> Iterable[Line]:
    said = f"zabbix-sockets: where to? {CONFIG} has no ServerActive"
    return _pushing(tree, journal=said, ActiveState="failed")


@that("push unit", DEGRADED, "is not started at boot", f"systemctl enable {SEND_UNIT}")
def _push_not_enabled(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, UnitFileState="disabled")


@that(
    "sender",
    BROKEN,
    "there is no zabbix_sender",
    "apt install zabbix-sender || apt install zabbix-agent",
)
def _no_sender(tree: Tree) -> Iterable[Line]:
    return _pushing(tree)


@that("sender", BROKEN, "of Zabbix 5.0.8, and 6.0 is the first", "apt install zabbix-sender")
def _old_sender(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/os-release", 'ID=debian\nVERSION_ID="11"\n')
    tree.program("zabbix_sender", "echo 'zabbix_sender (Zabbix) 5.0.8'")
    return _pushing(tree)


@that("push key", BROKEN, f"may not read {PSK}", f"chgrp zabbix {PSK} && chmod g+rX {PSK}")
def _key_of_the_agent_alone(tree: Tree) -> Iterable[Line]:
    tree.write(PSK, "", 0o400)
    return _pushing(tree, ("TLSPSKFile", PSK))


@that("push key", BROKEN, "may not read /etc/shadow", "")
def _key_that_is_none(tree: Tree) -> Iterable[Line]:
    """Nobody is told to give away whatever file the agent's configuration names."""
    tree.write("/etc/shadow", "", 0o400)
    return _pushing(tree, ("TLSPSKFile", "/etc/shadow"))


@that("push key", BROKEN, f"may not read {PSK}", f"chgrp daemon {PSK} && chmod g+rX {PSK}")
def _psk_is_closed_to_another_group(tree: Tree) -> Iterable[Line]:
    tree.write(PSK, "", 0o400)
    return _pushing(tree, ("TLSPSKFile", PSK), Group="daemon")


@that("push key", BROKEN, f"{PSK}, of the agent's TLS settings, isn't there")
def _no_key(tree: Tree) -> Iterable[Line]:
    return _pushing(tree, ("TLSPSKFile", PSK))


@that("push key", BROKEN, f"{PSK}, of the agent's TLS settings, isn't there")
def _no_key_of_the_agent_that_runs(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/zabbix/other.psk", "")
    tree.boot_systemd(SEND_UNIT)
    resting = tree.agent(("TLSPSKFile", "/etc/zabbix/other.psk"), running=False)
    return check_push(tree(), (resting, tree.agent(("TLSPSKFile", PSK))))


@that("push key", UNKNOWN, "Not a directory", AS_ROOT)
def _key_unseen(tree: Tree) -> Iterable[Line]:
    tree.write("/etc/zabbix/keys", "")
    return _pushing(tree, ("TLSPSKFile", "/etc/zabbix/keys/psk"))


def _spool(tree: Tree, age: float, *, dropped: int = 0) -> str:
    path = str(tree.root / FOLDER.lstrip("/") / FILE)
    spool = Spool(path, 1_000_000)
    spool.add([("zabbix.example.com", [Value("h", "k", int(time.time() - age), 0, "{}")])])
    for _ in range(dropped):
        spool.add([("zabbix.example.com", [Value("h", "k", int(time.time()), 0, "{}")])])
        waiting = spool.oldest("zabbix.example.com")
        assert waiting
        spool.drop(waiting.number, "zabbix.example.com")
    spool.close()
    return path


@that("spool", DEGRADED, "1 documents wait, the oldest for 3 hours", JOURNAL)
def _documents_wait(tree: Tree) -> Iterable[Line]:
    _spool(tree, 3 * 3600)
    return _pushing(tree)


@that("spool", DEGRADED, "1 were dropped so far", JOURNAL)
def _documents_were_dropped(tree: Tree) -> Iterable[Line]:
    _spool(tree, 1, dropped=1)
    return _pushing(tree)


@that("spool", BROKEN, "file is not a database", f"systemctl restart {SEND_UNIT}")
def _spool_damaged(tree: Tree) -> Iterable[Line]:
    tree.write(f"{FOLDER}/{FILE}", "no database, " * 100)
    return _pushing(tree)


@that("spool", UNKNOWN, "only root may look at it", AS_ROOT)
def _spool_unread(tree: Tree) -> Iterable[Line]:
    tree.write(f"{FOLDER}/{FILE}", "no database, " * 100)  # as good as closed
    tree.euid = 65534
    return _pushing(tree)


@that("spool", UNKNOWN, "only root may look at it", AS_ROOT)
def _spool_unseen(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return _pushing(tree)


RESPONSE = 'Response from "127.0.0.1:10051": "processed: 0; failed: 1; total: 1; seconds spent: 0'
DEBUG = "zabbix_sender [7]: DEBUG: "
WARNING = "zabbix_sender [7]: Warning: "
UNABLE = f"{DEBUG}Unable to connect to [127.0.0.1]:10051"
MISSING = f"{WARNING}Message from 127.0.0.1 is missing header. Message ignored."
"""What zabbix_sender 6.0 and 7.0 say."""


def no_tls(reason: str) -> str:
    """Return what zabbix_sender says of a handshake that has failed."""
    return (
        f"{UNABLE} [TCP successful, cannot establish TLS to [[127.0.0.1]:10051]: {reason}]\n"
        "Sending failed."
    )


@contextmanager
def answering(
    tree: Tree, said: str, *more: tuple[str, str], options: str = "", **state: str
) -> Iterator[tuple[System, Agent]]:
    """Have a host that pushes to a server, whose zabbix_sender says this; yield it and its agent.

    The service runs, as root, and has *more* in the agent's settings.
    """
    with listening(lambda _: None) as port:
        server = ("ServerActive", f"127.0.0.1:{port}")
        settings = (server, ("Hostname", "web1"), *more)
        tree.write(CONFIG, "".join(f"{name}={value}\n" for name, value in settings))
        tree.write("/proc/77/status", "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \n")
        tree.write("/proc/77/cmdline", f"/usr/bin/zabbix-sockets send {options}".replace(" ", "\0"))
        tree.program("zabbix_sender", f"cat <<'END'\n{said}\nEND")
        tree.boot_systemd(SEND_UNIT, MainPID="77", **state)
        yield tree(), tree.agent(*settings)


def _asked(tree: Tree, said: str, *more: tuple[str, str], **state: str) -> list[Line]:
    with answering(tree, said, *more, **state) as (system, agent):
        return list(check_servers(system, (agent,)))


@that(
    "server",
    BROKEN,
    "TLSConnect=psk has it: zbx_tls_connect(): -110",
    "... -s web1 -k sockets.check -o 0",
)
def _server_refuses_the_key(tree: Tree) -> Iterable[Line]:
    return _asked(tree, no_tls("zbx_tls_connect(): -110"), ("TLSConnect", "psk"))


@that("server", BROKEN, "certificate is NOT trusted. If", "... -s web1 -k sockets.check -o 0")
def _server_has_another_certificate(tree: Tree) -> Iterable[Line]:
    said = no_tls("invalid peer certificate: The certificate is NOT trusted.")
    return _asked(tree, said, ("TLSConnect", "cert"))


@that("server", BROKEN, "no Zabbix server or proxy (Message from 127.0.0.1 is missing", SET_UP)
def _server_is_none(tree: Tree) -> Iterable[Line]:
    return _asked(tree, f"{MISSING}\n{DEBUG}Unable to receive from [127.0.0.1]:10051 []")


@that("server", BROKEN, "answers, and takes nothing: ", "... -s web1 -k sockets.check -o 0")
def _server_takes_nothing(tree: Tree) -> Iterable[Line]:
    answer = '[{"response":"failed","info":"no room"}]'
    return _asked(tree, f'{WARNING}incorrect answer from "127.0.0.1:10051": {answer}')


@that(
    "server",
    BROKEN,
    "no answer comes in time: unable to receive",
    "... -s web1 -k sockets.check -o 0",
)
def _server_hangs(tree: Tree) -> Iterable[Line]:
    return _asked(tree, f"{DEBUG}unable to receive from [127.0.0.1]:10051: read timeout")


@that(
    "server",
    BROKEN,
    "and zabbix_sender can't ask: cannot open",
    "... -s web1 -k sockets.check -o 0",
)
def _sender_can_not_ask(tree: Tree) -> Iterable[Line]:
    return _asked(tree, 'zabbix_sender [7]: ERROR: cannot open "/etc/psk": [13] Permission denied')


@that("server", BROKEN, "can't ask: as which host?", JOURNAL)
def _host_has_no_name(tree: Tree) -> Iterable[Line]:
    return _asked(tree, RESPONSE, ("Hostname", ""), ("HostnameItem", "system.run[x]"))


@that("server", UNKNOWN, "zabbix_sender can't ask: ", AS_ROOT)
def _settings_of_the_push_are_closed(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return _asked(tree, 'zabbix_sender [7]: ERROR: cannot open "/etc/psk": [13] Permission denied')


@that("server", UNKNOWN, "zabbix_sender was not tried: its credentials", AS_ROOT)
def _credentials_are_for_root(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    folder = f"/etc/systemd/system/{SEND_UNIT}.d"
    tree.write(f"{folder}/credentials.conf", "[Service]\nLoadCredential=tls-psk-file:/etc/psk\n")
    return _asked(tree, RESPONSE)


@that("server", BROKEN, "127.0.0.1 port ", "getent ahosts 127.0.0.1 && timeout 5 bash -c 'exec ...")
def _server_down(tree: Tree) -> Iterable[Line]:
    with listening(None) as port:
        pass
    tree.boot_systemd(SEND_UNIT)
    return check_servers(tree(), (tree.agent(("ServerActive", f"127.0.0.1:{port}")),))


@that("server", BROKEN, "127.0.0.1 port 1: Connection refused", "getent ahosts 127.0.0.1 && ...")
def _server_of_the_service_alone_is_down(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(SEND_UNIT, ExecStart=exec_start("--server 127.0.0.1:1 --host web1"))
    return check_servers(tree(), (tree.agent(),))


@that("server", BROKEN, f"the packages' default: set ServerActive= in {CONFIG}, or: ", SET_UP)
def _server_of_an_untouched_configuration(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd(SEND_UNIT)
    return check_servers(tree(), (tree.agent(("ServerActive", "127.0.0.1")),))


@that("server", UNKNOWN, "its name is not known", "getent ahosts no.invalid && ...")
def _server_without_address(tree: Tree) -> Iterable[Line]:
    return check_servers(tree(), (tree.agent(("ServerActive", "no.invalid")),))


@that("server", UNKNOWN, "only active checks and pushes need it", "getent ahosts 127.0.0.1 && ...")
def _server_of_active_checks_is_silent(tree: Tree) -> Iterable[Line]:
    tree.seconds = 0.5
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # its queue is full, so it takes no more
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        address = f"127.0.0.1:{server.getsockname()[1]}"
        return list(check_servers(tree(), (tree.agent(("ServerActive", address)),)))
