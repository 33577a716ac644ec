"""The JSON of documents and lists, the only place that writes it; errors are cli's.

orjson writes a document of 370 kB in 2 ms, for which the encoder in C beneath the standard
library's json (Modules/_json.c) takes 20, and the same bytes. But orjson takes 15 ms to import, for
some thirty modules, which is a quarter of the call of an idle host. So it is used where it is
imported already, as in the service, and not imported for one document.
"""

from _json import encode_basestring, make_encoder
from sys import modules

from zabbix_sockets.document.record import Record
from zabbix_sockets.model.light_typing import Any


def _content(value: object) -> dict[str, Any]:
    if isinstance(value, Record):
        return value.content()
    raise TypeError(f"{type(value).__name__} is no part of a document")


# Its arguments: no check for circles, the function that returns a Record's dict, the function that
# writes texts (not as ASCII), no indent, the two separators, no sorting, no keys left out, no NaN.
_encode = make_encoder(None, _content, encode_basestring, None, ":", ",", False, False, False)


def to_json(value: object, errors: str = "replace") -> bytes:
    """Return the JSON of Records, or lists and dicts of them, in UTF-8: one line, no line feed.

    Each lone surrogate, which Python has for a byte of a path that is no UTF-8, becomes "?", or
    what *errors* says (str.encode).

    Raises:
        TypeError: something in it has no JSON.
        ValueError: *errors* is strict, and there is a lone surrogate.
    """
    orjson = modules.get("orjson")
    if orjson:
        try:
            text: bytes = orjson.dumps(value, default=_content)
        except TypeError:
            pass  # a surrogate, perhaps
        else:
            return text
    return "".join(_encode(value, 0)).encode(errors=errors)
