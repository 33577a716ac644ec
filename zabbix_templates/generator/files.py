"""All that is generated: paths below the project's root, and their texts."""

import json
from collections.abc import Iterable

import yaml

from zabbix_sockets import __version__
from zabbix_sockets.document.document import ROWS

from .alarms_page import alarms_page
from .export import VERSIONS, export
from .model import Metric, Template
from .pages import metrics_page, template_page
from .templates import TEMPLATES

FIGURES = "src/zabbix_sockets/sending/figures.json"

_WIDTH = 4096  # expressions stay on one line, as people search for them


def generated() -> dict[str, str]:
    """Return every generated file: its path below the project's root, and its text."""
    files = {
        "docs/alarms.md": alarms_page(TEMPLATES[0]),
        "docs/metrics.md": metrics_page(TEMPLATES[0]),
        FIGURES: _figures(TEMPLATES[0]),
    }
    for template in TEMPLATES:
        name = template.way.directory
        files[f"zabbix_templates/{name}/README.md"] = template_page(template)
        for version in VERSIONS:
            path = f"zabbix_templates/{name}/{name}-{version}.yaml"
            files[path] = _dump(export(template, version, f"{version}-{_major_minor()}"))
    return files


def _figures(template: Template) -> str:
    """Return the JSON of fields by key, of the host ("") and of each list, for `send --values`."""
    described = {"": _paths("sockets", template.metrics)}
    for rule in template.rules:
        described[rule.kind] = _paths(f"sockets.{rule.singular}", rule.metrics)
    return json.dumps(described, indent=1) + "\n"


def _paths(prefix: str, metrics: Iterable[Metric]) -> dict[str, str]:
    """Return fields by key, without what is made of rows, of an error, or calculated."""
    return {
        f"{prefix}.{each.key}": each.path
        for each in metrics
        if each.path and each.path.partition("[")[0] not in ROWS and each.otherwise is None
    }


def _major_minor() -> str:
    return ".".join(__version__.split(".")[:2])


def _dump(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as such, and indents lists as Zabbix does."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Indent lists too."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the base class's signature
        """Write the same object twice rather than refer to it."""
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _string)
