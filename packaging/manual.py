"""Writes the man page and the completions of bash and zsh: `python packaging/manual.py`.

They are made of what --help is made of: the verbs and the description of their options. A test
compares them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from zabbix_sockets.command.verbs import VERBS, option_fields_of
from zabbix_sockets.model.option import Option
from zabbix_sockets.version import __version__

GENERATED = Path(__file__).with_name("generated")
TITLE = Path(__file__).with_name("manual")
"""The man page's texts that no option has: what comes before the verbs, and after them."""

OF_EVERY_VERB = (
    Option("--debug", "show where an error comes from, on stderr", action="store_true"),
    Option("--help", "show the options and exit", action="store_true"),
)

PAIRS = tuple(name for name in VERBS if " " in name)
"""The verbs of two words."""

_SEVERAL = 3
"""So many verbs have an option that the man page explains once for all of them."""


class Described(NamedTuple):
    """An option of a verb, or an argument.

    Attributes:
        field: the name of the field that it fills.
        option: its description.
        optional: whether a default takes its place.
        section: the title that it stands below in the help; empty: none.
    """

    field: str
    option: Option
    optional: bool
    section: str

    @property
    def word(self) -> str:
        """The word for an option's value; empty if it takes none."""
        option = self.option
        if option.action in ("store_true", "store_false", "optional"):
            return ""
        return option.metavar or "|".join(map(str, option.choices)) or self.field.upper()

    @property
    def kind(self) -> str:
        """FILE or FOLDER if its value is the path of one; empty if it is another thing."""
        return self.word if self.word in ("FILE", "FOLDER") else ""

    @property
    def values(self) -> list[str]:
        """The values that a shell offers; none: it can't know any."""
        words = self.option.words
        return list(map(str, (words() if callable(words) else words) or self.option.choices))

    @property
    def flags(self) -> list[str]:
        """The words that stand for it; none for an argument."""
        flag = self.option.flag
        if self.option.action == "optional":
            return [flag, flag.replace("--", "--no-", 1)]
        return [flag] if flag else []

    @property
    def help(self) -> str:
        """Its explanation, as argparse shows it."""
        return self.option.help.replace("%%", "%")


def described(verb: str) -> list[Described]:
    """Return the arguments and options of a verb, in the order of the help."""
    options, _ = VERBS[verb].define()
    own = sorted(_of_type(options, ""), key=lambda each: bool(each.flags))  # arguments first
    return own + [Described("", option, optional=True, section="") for option in OF_EVERY_VERB]


def _of_type(options: type, section: str) -> Iterator[Described]:
    defaults = options._field_defaults  # type: ignore[attr-defined]  # a NamedTuple
    for field in option_fields_of(options):
        if field.inner:
            yield from _of_type(field.inner, field.section.title if field.section else section)
        for option in field.options:
            yield Described(field.name, option, field.name in defaults, section)


def man_page() -> str:
    """Return the man page, in the macros of man(7)."""
    text = (TITLE / "zabbix-sockets.8.in").read_text("utf-8").replace("@VERSION@", __version__)
    text = text.replace("@VERBS@\n", "".join(_man_verb(name) for name in VERBS))
    common = (_man_shared(names, parts) for names, parts in shared().items())
    return text.replace("@COMMON@\n", "".join(common))


def shared() -> dict[tuple[str, ...], list[Described]]:
    """Return the options that several verbs have in the same words, by the names of these verbs."""
    verbs: dict[Described, list[str]] = {}
    for name in VERBS:
        for each in described(name):
            if each.flags:
                verbs.setdefault(_apart(each), []).append(name)
    found: dict[tuple[str, ...], list[Described]] = {}
    for each, names in verbs.items():
        if len(names) >= _SEVERAL:
            found.setdefault(tuple(names), []).append(each)
    return found


def _apart(each: Described) -> Described:
    """Return an option as it is without its verb: where two of them have it, they are equal."""
    return each._replace(
        field="", optional=True, section="", option=each.option._replace(parse=None)
    )


def _man_shared(names: Sequence[str], parts: list[Described]) -> str:
    """Return the part of the man page with the options *parts* of the verbs *names*."""
    *some, last = map(_bold, names)
    verbs = "every verb" if len(names) == len(VERBS) else f"{', '.join(some)} and {last}"
    lines = [".PP", f"Of {verbs}:"]
    for each in parts:
        lines += [".TP", _man_term(each), _escaped(each.help)]
    return "\n".join(lines) + "\n"


def _man_verb(name: str) -> str:
    parts = described(name)
    elsewhere = {each for some in shared().values() for each in some}
    own = [each for each in parts if not each.flags or _apart(each) not in elsewhere]
    usage = [f".B zabbix\\-sockets {_escaped(name)}"]
    for each in parts:
        if not each.flags:
            word = f"\\fI{_escaped(each.word)}\\fR"
            usage.append(f"[{word}]" if each.optional or each.option.nargs == "*" else word)
    lines = [f".SS {name}", *usage, "[options]", ".PP", f"{_sentence(VERBS[name].summary)}"]
    section = ""
    for each in own:
        if each.section != section:
            section = each.section
            lines += [".PP", _sentence(section).removesuffix(".") + ":"] if section else [".PP"]
        lines += [".TP", _man_term(each), _escaped(each.help)]
    common = [_bold(flag) for each in parts if each not in own for flag in each.flags]
    lines += [".PP", f"Common options: {', '.join(common)}."]
    if VERBS[name].statuses:
        lines += [".PP", f"Exit status: {_escaped(VERBS[name].statuses)}."]
    return "\n".join(lines) + "\n"


def _bold(word: str) -> str:
    return f"\\fB{_escaped(word)}\\fR"


def _man_term(each: Described) -> str:
    word = f"\\fI{_escaped(each.word)}\\fR"
    if not each.flags:
        return word
    term = ", ".join(map(_bold, each.flags))
    return f"{term} {word}" if each.word else term


def _sentence(text: str) -> str:
    return _escaped(text[:1].upper() + text[1:] + ".")


def _escaped(text: str) -> str:
    """Return text for troff: its dashes stay those of the command, and no line is a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return f"\\&{escaped}" if escaped.startswith(".") else escaped


def bash_completion() -> str:
    """Return the completion for bash."""
    values, arguments, options = [], [], []
    for name in VERBS:
        parts = described(name)
        flags = [flag for each in parts for flag in each.flags]
        options.append(f'    "{name}") offer=(-W "{" ".join(flags + _second_words(name))}") ;;')
        for place, each in enumerate(each for each in parts if not each.flags):
            if each.values:
                arguments.append(f'    "{name} {place}") offer=({_bash_offer(each)}) ;;')
        for each in parts:
            if each.word:
                offer = _bash_offer(each)
                values += [f'    "{name} {flag}") offer=({offer}) ;;' for flag in each.flags]
    text = (TITLE / "completion.bash.in").read_text("utf-8")
    names = [name for name in VERBS if name not in PAIRS]
    text = text.replace("@NAMES@", " ".join([*names, "--help", "--version"]))
    text = text.replace("@PAIRS@", "    " + " | ".join(f'" {name} "' for name in PAIRS))
    for part, lines in (("VALUES", values), ("ARGUMENTS", arguments), ("OPTIONS", options)):
        text = text.replace(f"@{part}@", "\n".join(lines))
    return text


def _second_words(verb: str) -> list[str]:
    """Return the second words of the verbs of two words whose first one is *verb*."""
    return [pair.split()[1] for pair in PAIRS if pair.split()[0] == verb]


def _bash_offer(each: Described) -> str:
    """Return the arguments of compgen that offer values of an option; empty: they are unknown."""
    if each.values:
        return f'-W "{" ".join(each.values)}"'
    return {"FILE": "-f", "FOLDER": "-d"}.get(each.kind, "")


def zsh_completion() -> str:
    """Return the completion for zsh."""
    names = "\n".join(
        f"        {_quoted(f'{name}:{VERBS[name].summary}')}" for name in VERBS if name not in PAIRS
    )
    cases = ((_quoted(name), " ".join(_zsh_specifications(name))) for name in VERBS)
    verbs = "\n".join(f"    {name})\n        _arguments {some}\n        ;;" for name, some in cases)
    text = (TITLE / "completion.zsh.in").read_text("utf-8")
    text = text.replace("@PAIRS@", " | ".join(map(_quoted, PAIRS)))
    return text.replace("@NAMES@", names).replace("@VERBS@", verbs)


def _zsh_specifications(verb: str) -> Iterator[str]:
    place = 0
    for each in described(verb):
        option = each.option
        many = "*" if option.action == "append" or option.nargs == "*" else ""
        value = f":{_zsh(each.word)}:{_zsh_values(each)}" if each.word else ""
        specifications = [
            f"{many}{flag}{'=' if value else ''}[{_zsh(each.help)}]{value}" for flag in each.flags
        ]
        if not each.flags:
            place += 1  # by its number zsh knows that an optional one isn't passed over
            specifications.append(f"{place}{':' if each.optional else ''}{value}")
        for specification in specifications:
            yield f"\\\n            {_quoted(specification)}"


def _zsh_values(each: Described) -> str:
    if each.values:
        return f"({' '.join(each.values)})"
    return {"FILE": "_files", "FOLDER": "_files -/"}.get(each.kind, " ")


def _zsh(text: str) -> str:
    """Return text without a meaning in a specification of _arguments."""
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


FILES = {
    "zabbix-sockets.8": man_page,
    "zabbix-sockets.bash": bash_completion,
    "_zabbix-sockets": zsh_completion,
}
"""The files in GENERATED, and the functions that make their texts."""


def main() -> None:
    """Write the files."""
    GENERATED.mkdir(exist_ok=True)
    for name, make in FILES.items():
        (GENERATED / name).write_text(make(), "utf-8")


if __name__ == "__main__":
    main()
