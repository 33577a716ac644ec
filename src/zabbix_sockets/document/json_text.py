"""The JSON of an answer: one line of text, as short as it can be.

By the encoder in C beneath the standard library's json (`_json`, Modules/_json.c): importing json
itself takes 2 ms, and orjson, which writes the same, imports some thirty modules in 15 ms.
"""

from _json import encode_basestring, make_encoder


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is nothing of JSON's")


_encode = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
"""Its arguments: no look-out for circles, what is done with other types, texts as they are, no
indent, what separates, no sorting, no keys left out, and no NaN."""


def json_text(value: object) -> str:
    """Return *value*, of dicts, lists, texts, numbers and None, as JSON without a line's end."""
    return "".join(_encode(value, 0))
