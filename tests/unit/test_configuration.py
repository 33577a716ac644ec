"""The configuration file: what it says, and where it is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Union

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from zabbix_sockets.configuration import MAX_BYTES, MAX_RULES, Configuration, load
from zabbix_sockets.grouping.rules import Facts, RuleNames
from zabbix_sockets.model.errors import SocketsError

SOURCE = Path(__file__).parents[2]
GOOD = "[[group]]\nname = 'x'\nprocess = 'y'\n"

Write = Callable[[Union[str, bytes]], str]


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Write a configuration file and return its path."""
    path = tmp_path_factory.mktemp("configuration") / "zabbix-sockets.toml"

    def written(content: str | bytes) -> str:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return written


def names(configuration: Configuration, *facts: Facts) -> list[str]:
    """Return what a configuration calls processes."""
    return RuleNames(configuration.groups).of([(each, 1000) for each in facts])


def test_rules_in_order(write: Write) -> None:
    """The file's rules are there in its order, however they are written."""
    kafka, tomcat = Facts("java", "x kafka.Kafka y"), Facts("java", "base=/srv/shop")
    tables = r"""
        [[group]]
        name = "kafka"
        process = "^java$"
        command = 'kafka\.Kafka'
        [[group]]
        process = '''^java$'''
        "command" = 'base=/srv/(?P<instance>[a-z0-9]+)'
        name = 'tomcat-\g<instance>'
        """
    inline = r"""group = [
        {name="kafka", process="^java$", command='kafka\.Kafka'},
        {command='base=/srv/([a-z0-9]+)', name='tomcat-\1', process="java"}]"""
    for text in (tables, inline, tables.replace("\n", "\r\n"), f"\ufeff{tables}"):
        configuration = load(write(text), required=True)
        assert len(configuration.groups) == 2
        assert names(configuration, kafka, tomcat) == ["kafka", "tomcat-shop"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "group = []"])
def test_no_rules(write: Write, text: str) -> None:
    """A file without rules is an empty configuration."""
    assert load(write(text), required=True) == Configuration(())


def test_missing_file(tmp_path: Path) -> None:
    """Without a file there are no rules, unless it was asked for."""
    path = str(tmp_path / "missing.toml")
    assert load(path, required=False) == Configuration(())
    with pytest.raises(SocketsError, match=f"^{re.escape(path)}: No such file or directory$"):
        load(path, required=True)


def test_directory(tmp_path: Path) -> None:
    """A folder is no file, and not a missing one."""
    with pytest.raises(SocketsError, match=f"^{re.escape(str(tmp_path))}: Is a directory$"):
        load(str(tmp_path), required=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_unreadable_file(write: Write) -> None:
    """A file that may not be read is an error: nobody should take its rules for absent."""
    path = write(GOOD)
    os.chmod(path, 0o600)
    code = (
        "import os, sys; from zabbix_sockets.configuration import load\n"
        f"file = os.open({path!r}, os.O_PATH)\n"  # the folders above are closed to others too
        "os.setresuid(65534, 65534, 65534)\n"
        "load(f'/proc/self/fd/{file}', required=False)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert re.search(r"SocketsError: /proc/self/fd/\d+: Permission denied$", answer.stderr.strip())


def test_length(write: Write) -> None:
    """A file of a quarter of a megabyte is read, and a longer one is not."""
    text = GOOD + "#" * (MAX_BYTES - len(GOOD))
    assert len(load(write(text), required=True).groups) == 1
    with pytest.raises(SocketsError, match=r"zabbix-sockets\.toml: longer than 250000 bytes$"):
        load(write(text + "#"), required=True)


@pytest.mark.parametrize("rules", [True, False])
@pytest.mark.parametrize(
    ("kind", "message"),
    [("endless", "not a regular file"), ("fifo", "not a regular file"), ("huge", "longer than")],
)
def test_what_is_no_file(tmp_path: Path, kind: str, message: str, rules: bool) -> None:
    """A link to /dev/zero, a FIFO, a file of gigabytes: an error at once, for every grouping."""
    path = tmp_path / "zabbix-sockets.toml"
    if kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    said: list[str] = []

    def read() -> None:
        try:
            load(str(path), required=False, rules=rules)
        except SocketsError as error:
            said.append(str(error))

    call = threading.Thread(target=read, daemon=True)
    call.start()
    call.join(20)
    assert len(said) == 1
    assert message in said[0]


def test_aliases(write: Write) -> None:
    """Addresses have names on maps, in the order of the file; the command checks what they are."""
    path = write("[map.aliases]\n'192.0.2.0/24' = 'Payments'\n'2001:db8::1' = 'Mail'\n")
    found = load(path, required=True).aliases
    assert found == (("192.0.2.0/24", "Payments"), ("2001:db8::1", "Mail"))


def test_filter_alone(write: Write) -> None:
    """Who needs no rules gets the filter, and no error of the rules of a file without one."""
    wrong = "[[group]]\nname = 1\n"
    path = write(wrong)
    assert load(path, required=True, rules=False) == Configuration()
    with pytest.raises(SocketsError, match="must be a string"):
        load(path, required=True)
    for key in ("filter", '"f\\u0069lter"'):
        path = write(f"{key} = 'sport 1'\n{GOOD}")
        assert load(path, required=True, rules=False).filter == "sport 1"
    path = write(f"filter = 'sport 1'\n{wrong}")
    with pytest.raises(SocketsError, match="must be a string"):
        load(path, required=True, rules=False)


@pytest.mark.parametrize("rules", [False, True])
def test_clients(write: Write, rules: bool) -> None:  # a parameter
    """The file says whether clients are counted, also to who needs no rules."""
    assert not load(write(GOOD), required=True, rules=rules).clients
    assert load(write(f"clients = true\n{GOOD}"), required=True, rules=rules).clients
    assert not load(write(f"clients = false\n{GOOD}"), required=True, rules=rules).clients
    for wrong in ("1", "'yes'", "[true]"):
        with pytest.raises(SocketsError, match='line 1: "clients" must be true or false'):
            load(write(f"clients = {wrong}\n"), required=True, rules=rules)


SECOND = f"{GOOD}[[group]]\nname = 'x'\n"

MANY = "[[group]]\nname='x'\nprocess='y'\n" * MAX_RULES
LONG = "dport 1 or " * 2000 + "dport 1"

# What is said, and a text with ">>" before the line that it is said of.
WRONG = [
    # What tomllib refuses.
    ("(column 4)", "a = 1\n>>b =\n"),
    ("(column 2)", "\r\n\r\n>>x\r\n"),
    ("(end of document)", "a = 1\n>>b = 'x"),
    ("(end of document)", "a = [\n1,\n>>2\n\n"),
    ("(end of document)", "a = 1\n>>a = 2"),
    ("; put regular expressions and names", 'group = []\n>>b = "kafka\\.Kafka"'),
    ("too many brackets", f"a='\u2028'\n>>b = {'[' * 3000}{']' * 3000}\nc = 1\n"),
    *(
        [("too many digits", f"a = 1\nb = [\n>>1, {'9' * 5000}]\n\nc = 1\n")]
        if hasattr(sys, "set_int_max_str_digits")  # since 3.9.14, 3.10.7 and 3.11
        else []
    ),
    # Too much.
    ("more than 1000 rules", f"{MANY}>>[[group]]\nname='x'\nprocess='y'\n"),
    ("longer than 4096 characters", f"[[group]]\nname='x'\n>>process='{'y' * 4097}'\n"),
    ("it has 22007 characters, more than 16384", f">>filter = '{LONG}'\n"),
    # Keys.
    ('unknown key "proces": did you mean "process"?', "[[group]]\nname='x'\n>>proces='y'\n"),
    ('unknown key "comand": did you mean "command"?', f"{SECOND}>>comand='z'"),
    ('unknown key "zzz": there are name, process, command, unit,', f"{SECOND}>>zzz='z'"),
    ('unknown key "zzz": there', f"{SECOND}>>zzz = 1\n{GOOD}"),
    ('unknown key "nam"', f"{SECOND}>>nam.e='z'"),
    ('unknown key "=[[group]]""', f"{SECOND}>>'=[[group]]\"'='z'"),
    ('unknown key "unknown"', f'{GOOD}\n  [[ "group" ]]\n\t>> "unkn\\u006Fwn" = 1'),
    ('unknown key "limits"', f"{SECOND}>>[[group.limits]]\n[[group.limits]]"),
    (f'unknown key "{"x" * 64}": there', f"{SECOND}>>{'x' * 1000} = 1"),
    ('unknown key "groups": did you mean "group"?', "# [[groups]]\n>>[[groups]]\nname='x'\n"),
    ('unknown key "level": there are filter, clients, group', f">>level = 3\n{GOOD}"),
    ('unknown key "group2"', f"{GOOD}>>[group2.x]\n"),
    ('unknown key "a"', "group = []\n>>a.b = '''\nx\n'''\n"),
    # Types.
    ("[group] is one table: write [[group]]", "\n>>[group]\nname='x'\nprocess='y'"),
    ("[group] is one table", "\n\n>>group.name = 'x'"),
    ("[group] is one table", ">>group = {name='x', process='y'}"),
    ("[group] is one table", "\n>>[group.kafka]\nname='x'"),
    ('"group" must be an array of tables', "\n>>group = 'x'"),
    ('"group" must hold tables only', "group = [\n {name='x', process='y'},\n\n>> 3]"),
    ('"group" must hold tables only', "group = [\n>> [{name='x'}]]"),
    ('"name" must be a string', f"{GOOD}[[group]]\n>>name = 3"),
    ('"process" must be a string', f"{SECOND}>>process = ['a', 'b']"),
    ('"process" must be a string', f"{SECOND}user='x'\n>>[group.process]\nx = 1"),
    ('"command" must be a string', f"{SECOND}>>command.x = 'a'"),
    ('"user" must be a string', f"{SECOND}>>user = 1979-05-27 07:32:00.5\nunit = 1"),
    # Rules.
    ('a rule without a "name"', f"{GOOD}\n>>[[group]] # empty\nprocess='x'"),
    ('a rule without a "name"', f"{GOOD}>>[[group]]"),
    ('"name": is empty', "[[group]]\n>>name = ''\nprocess='x'"),
    ('"name": begins with a parenthesis', "[[group]]\n\nprocess='y'\n>>name='(x'"),
    ('"name": is longer than 64', f"[[group]]\n>>name = '{'x' * 65}'\nuser='x'"),
    ("a rule needs an expression on one of", f"{GOOD}\n>>[[group]]\nname='x'"),
    ('"name": refers to group "2", but', "[[group]]\nuser='(.)'\n>>name='\\2'"),
    ('"name": refers to group "x", but', "[[group]]\nuser='(.)'\n>>name='\\g<x>'"),
    ('"user": missing ), unterminated subpattern (column 1 of', f"{SECOND}>>user = '(x'"),
    ('"user": missing )', f"{SECOND}>>user = '''a\n\n('''\nunit = 'x'"),
    ('"user": "unit" has a group "x" too', f"{SECOND}>>user='(?P<x>)'\nunit='(?P<x>)'"),
    ('"process": has a backspace', f'{SECOND}>>process = "\\bjava"'),
    # Aliases.
    ('"map" must be a table: write [map.aliases]', ">>map = 3"),
    ('unknown key "alias": did you mean "aliases"?', "[map]\n>>alias = 3"),
    ('"aliases" must be a table', "[map]\n>>aliases = 3"),
    ('"192.0.2.1" must be a name', "[map.aliases]\n>>'192.0.2.1' = 3"),
    ('"192.0.2.1" must be a name', "[map.aliases]\n>>'192.0.2.1' = ' '"),
    # Inline tables.
    ('unknown key "p"', 'group = [{name="""x"""", user="""\n>>""", p="y"}]'),
    ('unknown key "p"', "group = [ # [\n {name='a', user=']}'}, # {}\n\n>> {name='b',\tp='['},\n]"),
    ('unknown key "p"', "group = [{user=[\n[1],[2]\n>>], name={x=[1,[2]], y='}'}, p=1}]"),
    ('"group" must hold tables only', "group = [\n>>'''\n'''\n]"),
    ('a rule without a "name"', "group = [\n {name='a', user='x'},\n\n>> {user='y'}]"),
    (
        '"unit" must be a string',
        "group=[{name='a',user='''\n{unit=1},\n''''},{name='''b'''',user='''\n\n>>''',unit=1}]",
    ),
    # What looks like keys and tables, in strings and comments.
    ("key", "[[group]]\nname = 'x'\nuser = '''\n[[group]]\nkey = 1\n'''''\n>>key = 1"),
    ("key", '[[group]]\nname = """\\\n x"""\nuser = """\n[[group]]\nkey=\\"""y"""""\n>>key=1'),
    ("key", "# '''\n[[group]] # [[group]]\nname = 'x' # key = 1\n# key = 1\n>>key = 1"),
    ("key", f"{SECOND}>>key='z'\n".replace("\n", "\r\n")),
    ("key", "\ufeff[[group]]\n>>key = 1"),
]


@pytest.mark.parametrize(("message", "marked"), WRONG)
def test_errors_name_their_line(write: Write, message: str, marked: str) -> None:
    """Whatever is wrong is told with the file and the line."""
    line = marked.partition(">>")[0].count("\n") + 1
    path = write(marked.replace(">>", ""))
    with pytest.raises(SocketsError) as caught:
        load(path, required=False)
    start = f"{path} line {line}: "
    assert str(caught.value).startswith(start)
    assert message in str(caught.value).removeprefix(start)
    assert caught.value.hint


def test_not_utf8(write: Write) -> None:
    """Bytes that are no UTF-8 are told with their line."""
    path = write(b"\xef\xbb\xbf# caf\xc3\xa9\n\n# caf\xe9\n")
    with pytest.raises(SocketsError) as caught:
        load(path, required=True)
    assert str(caught.value) == f"{path} line 3: not UTF-8"


PIECES = (
    *("[[group]]", "[group]", "[[group.x]]", "group", "name", "process", "proces", "user"),
    *("name='x'\n", "user='(.)'\n", "x", "(", "\\1", "1", "1.5", "true", "é", "\x00", "\ufeff"),
    *("=", ".", ",", "{", "}", "[", "]", "'", '"', "'''", '"""', "\\", "\n", "\r\n", "#", " "),
)
LINES = (
    *("[[group]]", "[group]", "[[group.x]]", "name='x'", "user='(.)'", "unit='('", "name.x=1"),
    *("user='''", "'''", "group=[", "{name='x',user='y'},", "]", "x=[{", "}]", "# '''", "unit=1"),
)
FRAGMENTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)
ROWS = st.lists(st.sampled_from(LINES), max_size=12).map("\n".join)


@given(raw=(FRAGMENTS | ROWS | st.text()).map(str.encode) | st.binary())
def test_any_text_is_right_or_refused(write: Write, raw: bytes) -> None:
    """Nothing makes anything but a configuration or an error that names one of its lines."""
    path = write(raw)
    try:
        configuration = load(path, required=True)
    except SocketsError as error:
        line = re.match(rf"{re.escape(path)} line (\d+): .", str(error))
        assert line
        assert 1 <= int(line[1]) <= raw.count(b"\n") + 1
    else:
        document = tomli.loads(raw.decode("utf-8-sig"))
        assert len(configuration.groups) == len(document.get("group", []))


# Right statements of a rule that may hide what looks like a wrong one.
NOISE = (
    *("", "# zzz = 1", "# '''", '# """', "unit = '[group] # \"\"\"' # '''"),
    *("user = '''\nzzz = 1\n[group]\n'''''", 'command = """\nzzz = 1\\"""\n[group]\n"""""'),
    r"""container = "]]\"'\\\\" # """,
)
NOISES = st.lists(st.sampled_from(NOISE), unique=True, max_size=6)


@given(rules=st.lists(NOISES, min_size=1, max_size=5), data=st.data(), crlf=st.booleans())
def test_line_of_an_unknown_key(
    write: Write, rules: list[list[str]], data: st.DataObject, crlf: bool
) -> None:
    """A wrong key is found among whatever strings and comments look like it."""
    wrong = data.draw(st.integers(0, len(rules) - 1))
    at = data.draw(st.integers(0, len(rules[wrong])))
    statements: list[str] = []
    for index, noise in enumerate(rules):
        body = list(noise)
        if index == wrong:
            body.insert(at, "zzz = 1")
        statements += ["[[group]]", "name = 'x'", "process = 'y'", *body]
    line = "\n".join(statements[: statements.index("zzz = 1") + 1]).count("\n") + 1
    path = write("\n".join(statements).replace("\n", "\r\n" if crlf else "\n"))
    with pytest.raises(SocketsError) as caught:
        load(path, required=True)
    assert str(caught.value).startswith(f'{path} line {line}: unknown key "zzz"')


def test_a_missing_file_costs_nothing(tmp_path: Path) -> None:
    """Hosts without the file don't wait for what reads one."""
    code = (
        "import sys; from zabbix_sockets.configuration import load\n"
        f"load({str(tmp_path / 'missing')!r}, required=False)\n"
        "assert not {'tomllib', 'tomli', 'difflib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


EXAMPLES = [
    (Facts("java", "java -Xlog:gc*:file=/x/kafkaServer-gc.log:time -cp y", user="kafka"), "kafka"),
    (Facts("java", "java -Xlog:gc*:file=/x/kafkaServer-gc.log:time -cp y", user="eve"), "java"),
    (Facts("java", "java -Dcatalina.base=/srv/shop -Dx", user="tomcat"), "tomcat-shop"),
    (Facts("php-fpm8.2", "php-fpm: pool www", user="www-data"), "php-www"),
    (Facts("gunicorn", "gunicorn: worker [shop.wsgi:app]"), "gunicorn-shop.wsgi:app"),
    (Facts("gunicorn", "/x/python /x/gunicorn -b 127.0.0.1:80 -w 4 shop:app"), "gunicorn-shop:app"),
    (Facts("uwsgi", "uwsgi --ini /x/y.ini --ini /x/apps-enabled/shop.ini -d /z"), "uwsgi-shop"),
    (Facts("python3", unit="worker@mail.service"), "worker-mail"),
]


def test_example_file(write: Write) -> None:
    """The example that is installed says nothing until the rules' marks are removed."""
    path = SOURCE / "conf" / "zabbix-sockets.toml"
    assert load(str(path), required=True) == Configuration(())
    text = re.sub(r"(?m)^#(?=\S)", "", path.read_text("utf-8"))
    configuration = load(write(text), required=True)
    assert len(configuration.groups) == path.read_text("utf-8").count("[[group]]") > 4
    facts, wanted = zip(*EXAMPLES)
    assert names(configuration, *facts) == list(wanted)


def test_examples_of_the_documentation(write: Write) -> None:
    """Every rule that docs/grouping.md shows can be copied."""
    text = (SOURCE / "docs" / "grouping.md").read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    configuration = load(write("\n".join(blocks)), required=True)
    assert len(configuration.groups) == text.count("\n[[group]]") > 4
    facts, wanted = zip(*EXAMPLES[:-1])
    assert names(configuration, *facts) == list(wanted)
