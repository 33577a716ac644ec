"""Faults of an agent: its configuration, its command, its process, and what it answers."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from zabbix_sockets.check.agents import Agent, AgentProcess
from zabbix_sockets.check.asking import check_answers, line_of
from zabbix_sockets.check.children import Result, User
from zabbix_sockets.check.line import BROKEN, DEGRADED, OK, UNKNOWN, Line
from zabbix_sockets.check.memory import check_memory
from zabbix_sockets.check.settings import check_settings
from zabbix_sockets.host.zabbix_config import Setting

from .trees import CONFIG, KEYS, READER, STRANGER, Faults, Tree, fault

FAULTS: Faults = []
that = partial(fault, FAULTS)

AS_ROOT = "sudo zabbix-sockets check"
CHECK = "zabbix-sockets check"
SETUP = "zabbix-sockets setup"
RESTART = "systemctl restart zabbix-agent.service"
OPEN = "chmod -R go+rX /usr/lib/zabbix-sockets /usr/share/zabbix-sockets"
ELSEWHERE = "/etc/zabbix/zabbix_agentd.d/old.conf"


@that(
    "agentd config", BROKEN, "/etc/zabbix/x.d: No such file", f"mkdir /etc/zabbix/x.d && {RESTART}"
)
def _include_of_no_folder(tree: Tree) -> Iterable[Line]:
    trouble = "/etc/zabbix/x.d: No such file or directory"
    return check_settings(tree(), tree.agent(trouble=trouble))


@that("agentd config", UNKNOWN, f"{CONFIG}: Permission denied", AS_ROOT)
def _config_closed(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return check_settings(tree(), tree.agent(trouble=f"{CONFIG}: Permission denied", keys=[]))


@that("agentd config", BROKEN, "there is no user for this agent to run as", "useradd --system ...")
def _no_user(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(user=None))


@that(
    "agentd keys",
    BROKEN,
    f"sockets.get is in {KEYS} and in {ELSEWHERE}",
    f"rm {ELSEWHERE} && {RESTART}",
)
def _keys_twice(tree: Tree) -> Iterable[Line]:
    keys = [*tree.write_keys(KEYS), *tree.write_keys(ELSEWHERE)]
    return check_settings(tree(), tree.agent(keys=keys))


@that("agentd keys", BROKEN, f"sockets.get is twice in {KEYS}", f"nano {KEYS} && {RESTART}")
def _keys_twice_in_a_file(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(keys=2 * tree.write_keys(KEYS)))


@that("agentd keys", DEGRADED, f"{KEYS} lacks sockets.count", SETUP)
def _keys_of_another_version(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(keys=tree.write_keys(KEYS)[:2]))


@that("agentd keys", BROKEN, f"{KEYS} is there, but no Include of {CONFIG} reaches it", SETUP)
def _keys_not_included(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(keys=[]))


@that("agentd keys", BROKEN, "they belong into /etc/zabbix/zabbix_agentd.d", SETUP)
def _no_keys(tree: Tree) -> Iterable[Line]:
    (tree.root / KEYS.lstrip("/")).unlink()
    return check_settings(tree(), tree.agent(keys=[]))


@that(
    "agentd keys",
    BROKEN,
    f"{KEYS} is there, but no Include",
    f"echo 'Include=/etc/zabbix/zabbix_agentd.d/*.conf' >> {CONFIG} && {RESTART}",
)
def _include_gone(tree: Tree) -> Iterable[Line]:
    agent = tree.agent(keys=[])._replace(include_folder="", no_folder="no Include has a place")
    return check_settings(tree(), agent)


@that(
    "agentd keys",
    BROKEN,
    "/etc/zabbix/zabbix_sockets.conf is there, but no Include",
    f"echo Include=/etc/zabbix/zabbix_sockets.conf >> {CONFIG} && {RESTART}",
)
def _keys_beside_the_agents_file(tree: Tree) -> Iterable[Line]:
    """That folder as a whole has the agent's own file, which is not to include itself."""
    (tree.root / KEYS.lstrip("/")).unlink()
    tree.write_keys("/etc/zabbix/zabbix_sockets.conf")
    return check_settings(tree(), tree.agent(keys=[])._replace(include_folder=""))


@that(
    "agentd keys",
    BROKEN,
    "no Include has a place",
    f"echo 'Include=/etc/zabbix/zabbix_agentd.conf.d/*.conf' >> {CONFIG} && {SETUP}",
)
def _no_keys_and_no_include(tree: Tree) -> Iterable[Line]:
    shutil.rmtree(tree.root / "etc/zabbix/zabbix_agentd.d")
    (tree.root / "etc/zabbix/zabbix_agentd.conf.d").mkdir()
    agent = tree.agent(keys=[])._replace(include_folder="", no_folder="no Include has a place")
    return check_settings(tree(), agent)


@that(
    "agentd keys",
    BROKEN,
    "no Include has a place",
    "mkdir /etc/zabbix/zabbix_agentd.d && echo 'Include=/etc/zabbix/zabbix_agentd.d/*.conf' >> ...",
)
def _no_keys_and_no_folder(tree: Tree) -> Iterable[Line]:
    shutil.rmtree(tree.root / "etc/zabbix/zabbix_agentd.d")
    agent = tree.agent(keys=[])._replace(include_folder="", no_folder="no Include has a place")
    return check_settings(tree(), agent)


def _with_closed(tree: Tree, path: str, *more: tuple[str, str]) -> Iterable[Line]:
    """Return the lines of an agent whose user may not read the file *path*."""
    tree.boot_systemd("zabbix-agent.service", User="zabbix")
    agent = tree.agent(*more, user=STRANGER)
    tree.write(path, (tree.root / path.lstrip("/")).read_text(), 0o600)
    return check_settings(tree(), agent)


@that("agentd keys", BROKEN, f"may not read {KEYS}", f"chmod 644 {KEYS} && {RESTART}")
def _keys_closed(tree: Tree) -> Iterable[Line]:
    return _with_closed(tree, KEYS)


@that("agentd config", BROKEN, f"may not read {KEYS}", f"chmod 644 {KEYS} && {RESTART}")
def _config_with_closed_keys(tree: Tree) -> Iterable[Line]:
    return _with_closed(tree, KEYS)


@that(
    "agentd config",
    BROKEN,
    f"may not read {ELSEWHERE}",
    f"chgrp {STRANGER.gid} {ELSEWHERE} && chmod g+rX {ELSEWHERE} && {RESTART}",
)
def _included_file_closed(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd("zabbix-agent.service", User="zabbix")
    tree.write(ELSEWHERE, "", 0o600)
    agent = tree.agent(user=STRANGER)
    return check_settings(tree(), agent._replace(files=(*agent.files, ELSEWHERE)))


@that("agentd config", BROKEN, "may not read /etc/shadow", "")
def _included_file_is_none(tree: Tree) -> Iterable[Line]:
    """Nobody is told to give away whatever file the agent's configuration names."""
    tree.boot_systemd("zabbix-agent.service", User="zabbix")
    tree.write("/etc/shadow", "", 0o600)
    agent = tree.agent(user=STRANGER)
    return check_settings(tree(), agent._replace(files=(*agent.files, "/etc/shadow")))


@that("agentd command", BROKEN, "may not read /usr/lib/zabbix-sockets, which the command", OPEN)
def _package_closed(tree: Tree) -> Iterable[Line]:
    code = tree.write("/usr/lib/zabbix-sockets/1/zabbix_sockets/version.py", "").parent
    (tree.root / "usr/lib/zabbix-sockets").chmod(0o700)
    agent = tree.agent(user=STRANGER)
    return check_settings(tree()._replace(package=str(code)), agent)


@that("agentd command", DEGRADED, "zabbix-sockets is no absolute path", SETUP)
def _command_by_path(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(keys=tree.write_keys(KEYS, "zabbix-sockets")))


@that("agentd command", BROKEN, "there is no /opt/gone/bin/python3", SETUP)
def _command_gone(tree: Tree) -> Iterable[Line]:
    keys = tree.write_keys(KEYS, "/opt/gone/bin/python3 -I -m zabbix_sockets")
    return check_settings(tree(), tree.agent(keys=keys))


@that("agentd command", BROKEN, "because of /opt: it was installed with a umask", "chmod a+rx /opt")
def _command_closed(tree: Tree) -> Iterable[Line]:
    tree.write("/opt/zs/bin/python3", "", 0o755)
    (tree.root / "opt").chmod(0o700)
    return check_settings(tree(), tree.agent(keys=tree.write_keys(KEYS, "/opt/zs/bin/python3 -I")))


@that("agentd command", BROKEN, "because of /root: it was installed", SETUP)
def _command_in_the_home_of_root(tree: Tree) -> Iterable[Line]:
    """Nobody is told to open root's home, or whatever file an agent's user names."""
    tree.write("/root/zs/bin/python3", "", 0o755)
    (tree.root / "root").chmod(0o700)
    return check_settings(tree(), tree.agent(keys=tree.write_keys(KEYS, "/root/zs/bin/python3 -I")))


@that("agentd command", UNKNOWN, "Not a directory", AS_ROOT)
def _command_unseen(tree: Tree) -> Iterable[Line]:
    tree.write("/opt/zs", "", 0o755)
    return check_settings(tree(), tree.agent(keys=tree.write_keys(KEYS, "/opt/zs/bin/python3 -I")))


@that("agentd timeout", DEGRADED, "Timeout=1: the agent kills a call after 1 s", "sed -i ...")
def _low_timeout(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(("Timeout", "1")))


@that("agentd access", BROKEN, "DenyKey=sockets.*[*] forbids sockets.get[process]", "sed -i ...")
def _denied(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(("DenyKey", "sockets.*[*]")))


@that("agentd unsafe", DEGRADED, "UnsafeUserParameters=1", "sed -i ...")
def _unsafe(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(("UnsafeUserParameters", "1")))


@that("agentd restart", BROKEN, f"the agent runs since before {CONFIG} was changed", RESTART)
def _not_restarted(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(process=AgentProcess(4_000_000, 1.0, READER)))


@that("agentd restart", BROKEN, "doesn't run, as far as can be seen: key already exists", RESTART)
def _not_running(tree: Tree) -> Iterable[Line]:
    tree.boot_systemd("zabbix-agent.service", journal="key already exists", ActiveState="failed")
    return check_settings(tree(), tree.agent(running=False))


@that("agentd restart", BROKEN, "doesn't run", f"/usr/sbin/zabbix_agentd -c {CONFIG}")
def _not_running_without_systemd(tree: Tree) -> Iterable[Line]:
    return check_settings(tree(), tree.agent(running=False))


def document(**collector: object) -> str:
    """Return a document in JSON, of a complete call by BPF, but for what *collector* says."""
    import json  # noqa: PLC0415  # beside a function that makes JSON

    found = {"source": "bpf", "degraded": 0, "warnings": [], **collector}
    return json.dumps({"version": 1, "complete": int(not found["warnings"]), "collector": found})


def with_command(tree: Tree, script: str, *more: tuple[str, str]) -> Agent:
    """Return an agent whose sockets.get is a shell script.

    It runs as root, as whom the caller goes, and nobody else may change its files: a test without
    root runs it as it is, and so does one of root's.
    """
    program = tree.root / tree.program("answers", script).lstrip("/")
    keys = [Setting("UserParameter", f'sockets.get[*],{program} get -- "$1"', KEYS)]
    agent = tree.agent(("StartAgents", "0"), *more, keys=keys, program="")
    return agent._replace(process=None, user=User("zabbix", 0, 0, ()))


def _call(tree: Tree, script: str, *more: tuple[str, str]) -> Iterable[Line]:
    return check_answers(tree(), with_command(tree, script, *more))


@that("agentd restart", BROKEN, "was changed", r"systemctl restart 'zabbix\x2dagent.service'")
def _restart_of_a_unit_with_a_backslash(tree: Tree) -> Iterable[Line]:
    agent = tree.agent(
        process=AgentProcess(4_000_000, 0.0, READER), unit=r"zabbix\x2dagent.service"
    )
    return check_settings(tree(), agent)


@that("agentd call", UNKNOWN, "not made: there is no user for this agent", "")
def _call_without_a_user(tree: Tree) -> Iterable[Line]:
    """Root doesn't become the agent's user where there is none, nor runs its commands itself."""
    agent = with_command(tree, f"touch {tree.root}/was-run")._replace(user=None)
    yield from check_answers(tree(), agent)
    assert not (tree.root / "was-run").exists()


@that(
    "agentd call",
    UNKNOWN,
    f"not made: the agent runs as root, and others than root may change {KEYS}",
    "",
)
def _call_of_others_as_root(tree: Tree) -> Iterable[Line]:
    agent = with_command(tree, f"touch {tree.root}/was-run")
    (tree.root / KEYS[1:]).parent.chmod(0o775)
    yield from check_answers(tree(), agent)
    assert not (tree.root / "was-run").exists()


@that("agentd call", DEGRADED, "did not end in 0.", "zabbix-sockets get --debug")
def _call_hangs(tree: Tree) -> Iterable[Line]:
    tree.seconds = 0.4
    return _call(tree, "sleep 60")


@that("agentd call", BROKEN, "did not end in ", "zabbix-sockets get --debug")
def _call_hangs_for_the_whole_timeout(tree: Tree) -> Iterable[Line]:
    tree.seconds = 2.5
    return _call(tree, "sleep 60", ("Timeout", "1"))


@that(
    "agentd call",
    BROKEN,
    "no JSON: sh: Permission? denied",
    "cd / && runuser -u zabbix -- sh -c ...",
)
def _call_says_something_else(tree: Tree) -> Iterable[Line]:
    return _call(tree, "printf 'sh: Permission\\033 denied\\n'")


@that("agentd call", BROKEN, "another snapshot of this user", "cd / && runuser -u zabbix -- ...")
def _call_is_an_error(tree: Tree) -> Iterable[Line]:
    return _call(tree, """echo '{"error":"another snapshot of this user did not end"}'""")


@that("agentd call", BROKEN, "with a umask that keeps", OPEN)
def _call_of_a_package_that_is_closed(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    agent = with_command(tree, "echo 'No module named zabbix_sockets'")._replace(user=STRANGER)
    folder = tree.write("/usr/lib/zabbix-sockets/version.py", "", 0o600).parent
    return check_answers(tree()._replace(package=str(folder)), agent)


@that("agentd call", BROKEN, "the agent gives up before the answer", "zabbix-sockets get --debug")
def _call_takes_longer_than_the_timeout(tree: Tree) -> Iterable[Line]:
    return _call(tree, f"sleep 1.1; echo '{document()}'", ("Timeout", "1"))


@that("agentd call", DEGRADED, "more than half of it", "zabbix-sockets show processes")
def _call_takes_half_of_the_timeout(tree: Tree) -> Iterable[Line]:
    return _call(tree, f"sleep 1.1; echo '{document()}'", ("Timeout", "2"))


@that("agentd call", DEGRADED, "not loaded: run zabbix-sockets load as root", SETUP)
def _call_is_degraded(tree: Tree) -> Iterable[Line]:
    reason = "not loaded: run zabbix-sockets load as root"
    said = document(source="sock_diag", degraded=1, reason=reason)
    return _call(tree, f"echo '{said}'")


@that("agentd call", DEGRADED, "7 processes may not be inspected", AS_ROOT)
def _call_is_incomplete(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    said = document(warnings=["owners are not known"], denied_processes=7)
    return _call(tree, f"echo '{said}'")


@that("agentd call", DEGRADED, "nothing new is discovered: /dev/shm/x: Disk quota exceeded", "")
def _call_remembers_nothing(tree: Tree) -> Iterable[Line]:
    warning = "nothing new is discovered: /dev/shm/x: Disk quota exceeded"
    said = document(warnings=[warning]).replace('"complete": 0', '"complete": 1')
    return _call(tree, f"echo '{said}'")


@that("agentd call", DEGRADED, "own addresses are not known: netlink: Operation not permitted", "")
def _call_knows_no_addresses(tree: Tree) -> Iterable[Line]:
    warning = "own addresses are not known: netlink: Operation not permitted"
    said = document(warnings=[warning]).replace('"complete": 0', '"complete": 1')
    return _call(tree, f"echo '{said}'")


REMEMBERED = f"/var/lib/zabbix-sockets-{READER.uid}"


@that("agentd discovery", DEGRADED, f"next boot: {REMEMBERED} is no folder of zabbix alone", SETUP)
def _no_folder_to_remember(tree: Tree) -> Iterable[Line]:
    return check_memory(tree(), tree.agent())


@that("agentd discovery", DEGRADED, "is no folder of zabbix alone", SETUP)
def _folder_of_somebody_else(tree: Tree) -> Iterable[Line]:
    (tree.root / REMEMBERED[1:]).mkdir(parents=True)
    return check_memory(tree(), tree.agent())


@that("agentd discovery", DEGRADED, "is no folder of zabbix alone", SETUP)
def _folder_that_others_may_write(tree: Tree) -> Iterable[Line]:
    reader = READER._replace(uid=os.getuid())
    folder = tree.root / f"var/lib/zabbix-sockets-{reader.uid}"
    folder.mkdir(parents=True)
    folder.chmod(0o700)
    (line,) = check_memory(tree(), tree.agent(user=reader))
    assert line.state == OK
    folder.chmod(0o770)
    return check_memory(tree(), tree.agent(user=reader))


@that("agentd discovery", DEGRADED, "SELinux keeps an agent in the domain zabbix_agent_t", SETUP)
def _folder_without_its_label(tree: Tree) -> Iterable[Line]:
    reader = READER._replace(uid=os.getuid())
    (tree.root / f"var/lib/zabbix-sockets-{reader.uid}").mkdir(0o700, parents=True)
    tree.write("/sys/fs/selinux/enforce", "1")
    return check_memory(tree(), tree.agent(user=reader))


def _tested(tree: Tree, script: str, *more: tuple[str, str]) -> Iterable[Line]:
    agent = with_command(tree, f"echo '{document()}'", *more)
    program = tree.root / tree.program("zabbix_agentd", script).lstrip("/")
    return check_answers(tree(), agent._replace(program=str(program)))


NOT_SUPPORTED = (
    "echo 'sockets.get[process]        [m|ZBX_NOTSUPPORTED] [Unknown metric sockets.get]'"
)


@that("agentd test", BROKEN, "Unknown metric sockets.get", "cd / && runuser -u zabbix -- /...")
def _test_is_not_supported(tree: Tree) -> Iterable[Line]:
    return _tested(tree, NOT_SUPPORTED)


@that("agentd test", UNKNOWN, "Unknown metric sockets.get", "cd / && runuser -u zabbix -- /...")
def _test_is_not_supported_for_nobody(tree: Tree) -> Iterable[Line]:
    tree.euid = 65534
    return _tested(tree, NOT_SUPPORTED)


@that("agentd test", BROKEN, "cannot load module", "cd / && runuser ...")
def _test_says_something_else(tree: Tree) -> Iterable[Line]:
    return _tested(tree, "echo 'zabbix_agentd [1]: ERROR: cannot load module' >&2; exit 1")


@that("agentd test", UNKNOWN, "did not end")
def _test_hangs(tree: Tree) -> Iterable[Line]:
    tree.seconds = 2.5
    return _tested(tree, "sleep 60")


@that("agentd test", UNKNOWN, "the agent's program isn't there")
def _test_without_program(tree: Tree) -> Iterable[Line]:
    return _call(tree, f"echo '{document()}'")


@that("agentd test", UNKNOWN, "it took too long to find out")
def _test_never_ends(_tree: Tree) -> Iterable[Line]:
    return [line_of("agentd test", Result([], ended=False, fault=""))]


@contextmanager
def listening(answer: Callable[[socket.socket], None] | None) -> Iterator[int]:
    """Listen on a port of loopback, and give each connection to *answer*; None: nobody takes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    if answer:
                        answer(connection)

        if answer:
            threading.Thread(target=serve, daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)  # a close alone wakes no accept()


def message(text: bytes) -> bytes:
    """Return the message of an agent with that content."""
    return b"ZBXD\x01" + len(text).to_bytes(8, "little") + text


def says(data: bytes) -> Callable[[socket.socket], None]:
    """Return the answer that is *data*, whatever the question."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(data)

    return answer


def asked(
    tree: Tree, answer: Callable[[socket.socket], None] | None, *more: tuple[str, str]
) -> list[Line]:
    """Return the lines for an agent whose port is served by *answer*."""
    with listening(answer) as port:
        settings = (("StartAgents", "3"), ("ListenPort", str(port)), *more)
        return list(_call(tree, f"echo '{document()}'", *settings))


@that("agentd port", UNKNOWN, "TLSAccept=psk: it takes no question in plain text")
def _port_wants_tls(tree: Tree) -> Iterable[Line]:
    return asked(tree, None, ("TLSAccept", "psk"))


@that("agentd port", UNKNOWN, "StartAgents=0 or no Server: it listens on no port")
def _port_is_not_meant(tree: Tree) -> Iterable[Line]:
    return _call(tree, f"echo '{document()}'")


@that("agentd port", BROKEN, "Unsupported item key", RESTART)
def _port_does_not_know_the_key(tree: Tree) -> Iterable[Line]:
    return asked(tree, says(message(b"ZBX_NOTSUPPORTED\0Unsupported item key.")))


@that("agentd port", BROKEN, "though Server=127.0.0.1 allows it", RESTART)
def _port_closes(tree: Tree) -> Iterable[Line]:
    return asked(tree, says(b""))


@that("agentd port", UNKNOWN, "Server=192.0.2.1 doesn't let 127.0.0.1 ask: ask from there")
def _port_is_for_others(tree: Tree) -> Iterable[Line]:
    return asked(tree, says(b""), ("Server", "192.0.2.1"))


@that("agentd port", BROKEN, "nobody listens there", RESTART)
def _port_is_closed(tree: Tree) -> Iterable[Line]:
    with listening(None) as port:
        pass
    settings = (("StartAgents", "3"), ("ListenPort", str(port)))
    return _call(tree, f"echo '{document()}'", *settings)


@that("agentd port", BROKEN, "no answer in 1.0 s", RESTART)
def _port_hangs(tree: Tree) -> Iterable[Line]:
    return asked(tree, None, ("Timeout", "1"))


@that("agentd port", UNKNOWN, "not asked: no time was left", f"{CHECK} --timeout 10")
def _port_without_time(tree: Tree) -> Iterable[Line]:
    tree.seconds = 0.6
    return asked(tree, None)


def _just_started(tree: Tree, port: int) -> Iterable[Line]:
    settings = (("StartAgents", "3"), ("ListenPort", str(port)), ("Timeout", "1"))
    agent = with_command(tree, f"echo '{document()}'", *settings)
    process = AgentProcess(4_000_000, time.time() - 5, User("zabbix", 0, 0, ()))
    return list(check_answers(tree(), agent._replace(process=process)))


@that("agentd port", UNKNOWN, "nobody listens there; it has just been started", CHECK)
def _port_is_not_open_yet(tree: Tree) -> Iterable[Line]:
    with listening(None) as port:
        pass
    return _just_started(tree, port)


@that("agentd port", UNKNOWN, "no answer in 1.0 s; it has just been started", CHECK)
def _port_does_not_answer_yet(tree: Tree) -> Iterable[Line]:
    with listening(None) as port:
        return _just_started(tree, port)


def _only_pings(connection: socket.socket) -> None:
    if b"agent.ping" in connection.recv(1000):
        connection.sendall(message(b"1"))
    else:
        connection.recv(1000)  # until the other end gives up


@that("agentd port", DEGRADED, "no answer to sockets.get[process] in 1.0 s", "zabbix_get -s ...")
def _port_is_slow(tree: Tree) -> Iterable[Line]:
    return asked(tree, _only_pings, ("Timeout", "1"))


@that("agentd port", BROKEN, "its answer has no header of Zabbix", RESTART)
def _port_is_of_another_program(tree: Tree) -> Iterable[Line]:
    return asked(tree, says(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


@that("agentd port", BROKEN, "no JSON: sh: 1: /opt/x: not found", RESTART)
def _port_answers_something_else(tree: Tree) -> Iterable[Line]:
    return asked(tree, says(message(b"sh: 1: /opt/x: not found")))
