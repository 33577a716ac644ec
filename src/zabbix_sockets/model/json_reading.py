"""Reading of JSON: by orjson where there is one for this Python, else by the standard library.

orjson takes 15 ms to import: who reads JSON in few calls imports this module then.
"""

from __future__ import annotations

from _collections_abc import Callable

from zabbix_sockets.model.light_typing import Any, NoReturn

_Decoder = Callable[["bytes | str"], Any]


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"no JSON: {constant}")


def _decoder() -> _Decoder:
    """Return orjson's decoder, or one that refuses what orjson refuses."""
    try:
        from orjson import loads  # noqa: PLC0415  # packages bring it for the commonest Pythons
    except ImportError:
        return read_by_standard_library
    return loads


def read_by_standard_library(text: bytes | str) -> Any:
    """Return the value of a JSON text; as read_json, without orjson."""
    from json import dumps, loads  # noqa: PLC0415  # not where orjson is

    if isinstance(text, bytes):
        text = text.decode()
    try:
        value = loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(f"no JSON: {error}") from None
    if "\\u" in text:  # half of a surrogate may hide behind it, for which there are no bytes
        dumps(value, ensure_ascii=False).encode()
    return value


read_json: _Decoder = _decoder()
"""Return the value of a JSON text, of which bytes are UTF-8.

Raises:
    ValueError: it is none, has half of a surrogate in it, or is nested too deeply.
"""
