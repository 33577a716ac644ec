"""Real questions to an agent: its command, as its user; through its port; and by `-t`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from time import monotonic, time
from typing import Any

from zabbix_sockets.check.agents import Agent
from zabbix_sockets.check.children import Result, User, gather, start
from zabbix_sockets.check.document import parsed
from zabbix_sockets.check.keys import closed_code, parameters_of
from zabbix_sockets.check.line import Line, broken, degraded, ok, then, typed, unknown
from zabbix_sockets.check.protocol import NoAnswerError, NotSupportedError, ask
from zabbix_sockets.check.settings import timeout_of
from zabbix_sockets.check.system import Output, System
from zabbix_sockets.document.admission import NOTHING_NEW
from zabbix_sockets.host.processes import may_only_root_change
from zabbix_sockets.model.deadline import Deadline
from zabbix_sockets.model.snapshot import ADDRESSES_UNKNOWN
from zabbix_sockets.sending.contents import MASTER_KEY

CALL, PORT, TEST = "call", "port", "test"
"""The things, each behind the agent's name: "agentd call"."""

_ASKED = f"{MASTER_KEY}[process]"
"""The key as the templates ask for it."""
_DEFAULT_PORT = 10050
_TEST_SHARE = 0.54
"""The most of all the time in which -t has to give a document."""
_LEAST_SECONDS = 0.5
"""An agent is not asked that has less than this to answer: its silence would say nothing."""
_START_SECONDS = 15
"""An agent that is younger may not answer yet, on a busy host."""
_SLOW_SHARE = 0.5
_GRACE = 0.2
_DENIED = "sudo zabbix-sockets check"
_VALUE = re.compile(r"\[[a-z]\|(.*)\]\s*$", re.DOTALL)


def check_answers(system: System, agent: Agent) -> Iterator[Line]:
    """Yield the lines of a call of the agent's command, a question through its port, and by -t."""
    parameters = [each for each in parameters_of(agent) if each.key == MASTER_KEY]
    if not parameters:
        return
    danger = _danger(system, agent)
    if danger:
        yield unknown(f"{agent.name} {CALL}", f"not made: {danger}")
        yield _check_port(system, agent)
        return
    yield _check_call(system, agent, parameters[0].command)
    # Both at the same time: each waits for something else.
    works = {TEST: _check_test, PORT: _check_port}
    children = [start(partial(_told, work, system, agent)) for work in works.values()]
    limit = Deadline(system.deadline.remaining())
    names = (f"{agent.name} {name}" for name in works)
    yield from map(line_of, names, gather(children, limit))


def _danger(system: System, agent: Agent) -> str:
    """Return in words why root may not run what the agent's files say; empty: nobody is in danger.

    As the agent's user it may. Where that is root, or isn't known, root would run it itself: what
    others may change would be theirs to run as root.
    """
    user = agent.runs_as
    if system.euid or (user and user.uid):
        return ""
    if not user:
        return "there is no user for this agent to run as"
    paths = [system.at(each) for each in agent.files] + [agent.program] * bool(agent.program)
    path = next((each for each in paths if not may_only_root_change(each)), "")
    shown = path.removeprefix(system.root)
    return shown and f"the agent runs as root, and others than root may change {shown}"


def line_of(name: str, result: Result) -> Line:
    """Return the line that a child has said; *name* is that of one which has said none."""
    if result.values:
        return Line(*result.values[0])
    return unknown(name, result.fault or "it took too long to find out")


def _told(
    work: Callable[[System, Agent], Line], system: System, agent: Agent
) -> Iterator[tuple[str, ...]]:
    yield tuple(work(system, agent))


def as_agent(system: System, agent: Agent, work: Callable[[], Output]) -> Output | None:
    """Return the result of *work*, done as the user of *agent* where the caller is root.

    Else it is done as the caller, and where that user is root. None: it took too long.
    """
    user = agent.runs_as
    if system.euid or not user or user.uid == 0:
        return work()
    return _as(user, work, system.deadline)


def _as(user: User, work: Callable[[], Output], deadline: Deadline) -> Output | None:
    def told() -> Iterable[object]:
        yield list(work())

    (result,) = gather([start(told, user)], Deadline(deadline.remaining() + 0.1))
    if result.fault:
        return Output(1, result.fault)
    if not result.values:
        return None
    status, text, in_time = result.values[0]
    return Output(status, text, in_time)


def _who(system: System, agent: Agent) -> str:
    user = agent.runs_as
    if system.euid and not (user and user.uid == system.euid):
        return "as the caller of this check, not as the agent's user"
    return f"as {user.name or user.uid}" if user else "as root"


def _check_call(system: System, agent: Agent, command: str) -> Line:
    """Return the line of a call of the command of sockets.get, as the agent makes it."""
    name, limit = f"{agent.name} {CALL}", timeout_of(agent)
    shell = re.sub(r"\$[2-9]", "", command.replace("$1", "process"))
    started = monotonic()
    output = as_agent(
        system, agent, lambda: system.run("/bin/sh", "-c", shell, seconds=system.deadline.seconds)
    )
    seconds = monotonic() - started
    if output is None or not output.in_time:
        said = f"the command did not end in {seconds:.1f} s {_who(system, agent)}, of {limit} s"
        if seconds < limit:  # it was this check that gave up
            return degraded(name, said, "zabbix-sockets get --debug")
        return broken(name, said, "zabbix-sockets get --debug")
    document = parsed(output.text)
    if isinstance(document, str):
        return _no_document(system, agent, document, shell)
    return _judged(system, agent, document, seconds, limit)


def _no_document(system: System, agent: Agent, said: str, shell: str) -> Line:
    """Return the line of a call of *shell*, the command of sockets.get, that *said* no document."""
    name, user = f"{agent.name} {CALL}", agent.runs_as
    told = f"{said} ({_who(system, agent)})"
    code = closed_code(system, user) if user else None
    if code:
        return broken(
            name,
            f"{told}; this user may not read {code.path}: it was installed with a umask that keeps"
            " others out, or where others may not look",
            code.mend,
        )
    return broken(name, told, _again_as(agent, "sh", "-c", shell))


def _again_as(agent: Agent, *words: str) -> str:
    """Return the command that runs *words* as the agent's user, in a folder that it may enter."""
    user = agent.runs_as
    run = typed("runuser", "-u", user.name if user else "zabbix", "--", *words)
    return then("cd /", run)


def _judged(
    system: System, agent: Agent, document: dict[str, Any], seconds: float, limit: int
) -> Line:
    """Return the line of a call that gave a document: its source, its time, and what it lacks."""
    name, collector = f"{agent.name} {CALL}", document["collector"]
    source = collector.get("source")
    said = f"{source} in {seconds:.2f} s {_who(system, agent)}, of {limit} s"
    if seconds > limit:
        return broken(
            name, f"{said}: the agent gives up before the answer", "zabbix-sockets get --debug"
        )
    if seconds > _SLOW_SHARE * limit:
        return degraded(name, f"{said}: more than half of it", "zabbix-sockets show processes")
    if collector.get("degraded"):
        return degraded(name, f"{said}: {collector.get('reason')}", _remedy(system))
    if not document.get("complete", 1):
        warnings = "; ".join(map(str, collector.get("warnings") or [])) or "not complete"
        denied = collector.get("denied_processes")
        more = f" ({denied} processes may not be inspected)" if denied else ""
        return degraded(name, f"{said}: {warnings}{more}", _remedy(system))
    for warning in map(str, collector.get("warnings") or ()):
        if warning.startswith((NOTHING_NEW, ADDRESSES_UNKNOWN)):
            return degraded(name, f"{said}: {warning}")
    return ok(name, said)


def _remedy(system: System) -> str:
    return "zabbix-sockets setup" if not system.euid else _DENIED


def _check_test(system: System, agent: Agent) -> Line:
    """Return the line of `zabbix_agentd -t KEY`, whose exit status says nothing."""
    name = f"{agent.name} {TEST}"
    if not agent.program:
        return unknown(name, "the agent's program isn't there")
    command = (agent.program, "-c", agent.config, "-t", _ASKED)
    shown = " ".join(command)
    output = as_agent(
        system, agent, lambda: system.run(*command, seconds=_seconds(system, _TEST_SHARE))
    )
    if output is None or not output.in_time:
        return unknown(name, f"`{shown}` did not end in {_seconds(system, _TEST_SHARE):.1f} s")
    try:
        document = parsed(_tested(output.text))
    except NotSupportedError as error:
        document = str(error)
    if not isinstance(document, str):
        return ok(name, f"`{shown}` {_who(system, agent)}: a document")
    again = _again_as(agent, *command)
    if system.euid:
        return unknown(name, f"{document} ({_who(system, agent)})", again)
    return broken(name, f"{document} ({_who(system, agent)})", again)


def _tested(text: str) -> str:
    """Return the value in what `-t` prints: `KEY   [t|VALUE]`, behind what else is said.

    Raises:
        NotSupportedError: there is none.
    """
    _, key, behind = text.rpartition(f"{_ASKED} ")
    found = _VALUE.search(behind)
    if not key or not found:
        raise NotSupportedError(text.strip() or "it says nothing")
    if found[1].startswith("ZBX_NOTSUPPORTED"):
        raise NotSupportedError(found[1].partition("] [")[2] or "unsupported item key")
    return found[1]


def _check_port(system: System, agent: Agent) -> Line:
    """Return the line of a question through the port of the running agent."""
    name = f"{agent.name} {PORT}"
    forbidden = _why_not_asked(agent)
    if forbidden:
        return unknown(name, forbidden)
    address, port = _where(agent)
    asked = f"{address} port {port}"
    again = typed("zabbix_get", "-s", address, "-p", str(port), "-k", _ASKED)
    limit = Deadline(min(max(1, timeout_of(agent)), system.deadline.remaining() - _GRACE))
    if limit.seconds < _LEAST_SECONDS:
        return unknown(name, "not asked: no time was left", "zabbix-sockets check --timeout 10")
    waited = f"in {limit.seconds:.1f} s"
    try:
        _ping(address, port, limit)
        answer = _asked_for_document(address, port, limit)
    except NoAnswerError as error:
        return _no_answer(agent, error.address)
    except (NotSupportedError, OSError, ValueError) as error:
        return _failed(agent, asked, waited, error)
    if answer is None:  # the agent is alive, and may yet answer: its host is busy
        said = f"{asked}: no answer to {_ASKED} {waited}"
        return degraded(name, said, again)
    return _answered(agent, asked, answer)


def _answered(agent: Agent, asked: str, answer: str) -> Line:
    """Return the line of an agent that gave this *answer* where it was *asked*."""
    name, document = f"{agent.name} {PORT}", parsed(answer)
    if isinstance(document, str):
        return broken(name, f"{asked}: {document}", agent.restart)
    return ok(name, f"{asked}: a document of source {document['collector'].get('source')}")


def _failed(agent: Agent, asked: str, waited: str, error: Exception) -> Line:
    """Return the line of a question that failed; *waited* says how much time it had."""
    if isinstance(error, TimeoutError):
        return _not_answered(agent, f"{asked}: no answer {waited}")
    if isinstance(error, ConnectionRefusedError):
        return _not_answered(agent, f"{asked}: nobody listens there")
    if isinstance(error, OSError):
        return _not_answered(agent, f"{asked}: {error.strerror or error}")
    return broken(f"{agent.name} {PORT}", f"{asked}: {error}", agent.restart)


def _not_answered(agent: Agent, said: str) -> Line:
    """Return the line of an agent that answers nothing through its port, as *said*."""
    name, process = f"{agent.name} {PORT}", agent.process
    if process and abs(time() - process.started) < _START_SECONDS:
        return unknown(name, f"{said}; it has just been started", "zabbix-sockets check")
    return broken(name, said, agent.restart)


def _why_not_asked(agent: Agent) -> str:
    """Return in words why an agent takes no question in plain text; empty: it may."""
    accept = agent.value("TLSAccept", "unencrypted")
    if "unencrypted" not in accept:
        return f"TLSAccept={accept}: it takes no question in plain text"
    if agent.value("StartAgents") == "0" or not agent.value("Server"):
        return "StartAgents=0 or no Server: it listens on no port"
    return ""


def _ping(address: str, port: int, deadline: Deadline) -> None:
    """Ask an agent for what it answers at once, though a rule may forbid it even that.

    Raises:
        NoAnswerError, ValueError, TimeoutError, OSError: as protocol.ask().
    """
    with suppress(NotSupportedError):
        ask(address, port, "agent.ping", deadline)


def _asked_for_document(address: str, port: int, deadline: Deadline) -> str | None:
    """Return the answer of an agent that is alive; None: there is none before the deadline.

    Raises:
        NotSupportedError, NoAnswerError, ValueError, OSError: as protocol.ask().
    """
    try:
        return ask(address, port, _ASKED, deadline)
    except TimeoutError:
        return None


def _seconds(system: System, share: float) -> float:
    return share * system.deadline.seconds


def _where(agent: Agent) -> tuple[str, int]:
    """Return the address and the port that *agent* listens on: loopback where that is any."""
    first = agent.value("ListenIP").split(",")[0].strip()
    address = first if first not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    port = agent.value("ListenPort", str(_DEFAULT_PORT))
    number = int(port) if port.isascii() and port.isdecimal() and len(port) <= len("65535") else 0
    return address, number or _DEFAULT_PORT


def _no_answer(agent: Agent, address: str) -> Line:
    """Return the line of an agent that ended the connection of *address* without an answer."""
    name, servers = f"{agent.name} {PORT}", agent.value("Server")
    if _surely_allows(servers, address):
        said = f"it ended the connection without an answer, though Server={servers} allows it"
        return _not_answered(agent, said)
    return unknown(name, f"Server={servers} doesn't let {address} ask: ask from there")


def _surely_allows(servers: str, address: str) -> bool:
    """Whether a list of addresses, networks and names has *address*; names are not looked up."""
    asking = ipaddress.ip_address(address.partition("%")[0])
    for each in filter(None, (part.strip() for part in servers.split(","))):
        try:
            if asking in ipaddress.ip_network(each, strict=False):
                return True
        except ValueError:
            if each == "localhost" and asking.is_loopback:
                return True
    return False
