"""The stand-ins for typing behave as typing's own."""

import copy
import pickle
import typing
from typing import Any

import pytest

from zabbix_sockets.model import light_typing


class Light(light_typing.NamedTuple):
    """An end."""

    address: str
    port: int = 80
    device: light_typing.Optional[str] = None

    @property
    def text(self) -> str:
        """Address and port."""
        return f"{self.address}:{self.port}"


class Heavy(typing.NamedTuple):
    """An end."""

    address: str
    port: int = 80
    device: typing.Optional[str] = None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (("::1",), {}),
        (("::1", 443), {}),
        (("::1", 443, "eth0"), {}),
        (("::1",), {"device": "eth0"}),
        ((), {"port": 443, "address": "::1"}),
    ],
)
def test_named_tuples(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    """They have the same values, names and methods."""
    light, heavy = Light(*values, **named), Heavy(*values, **named)
    assert tuple(light) == tuple(heavy)
    assert hash(light) == hash(heavy)
    assert (light.address, light.port, light.device) == tuple(heavy)
    assert light._asdict() == heavy._asdict()
    assert tuple(light._replace(port=1)) == tuple(heavy._replace(port=1))
    assert repr(light) == repr(heavy).replace("Heavy", "Light")
    assert light.text.startswith("::1:")


def test_their_classes() -> None:
    """So do the classes, whose instances are as small."""
    for name in ("_fields", "_field_defaults", "__doc__", "__module__", "__class__", "__slots__"):
        assert getattr(Light, name) == getattr(Heavy, name), name
    assert tuple(Light._make(["::1", 1, None])) == tuple(Heavy._make(["::1", 1, None]))
    assert not hasattr(Light("::1"), "__dict__")


def test_copies() -> None:
    """They are of the same class."""
    light = Light("::1")
    for made in (copy.copy(light), copy.deepcopy(light), pickle.loads(pickle.dumps(light))):
        assert made == light
        assert type(made) is Light


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        ((), {"port": 1}),
        (("::1", 1, None, 2), {}),
        (("::1",), {"address": "::1"}),
        (("::1",), {"name": "x"}),
        (("::1", 1, None), {"device": "eth0"}),
    ],
)
def test_wrong_values(values: tuple[Any, ...], named: dict[str, Any]) -> None:
    """What typing's refuse they refuse."""
    for kind in (Light, Heavy):
        with pytest.raises(TypeError, match="argument"):
            kind(*values, **named)
    with pytest.raises(TypeError, match="3 fields, not 1"):
        Light._make(["::1"])
    with pytest.raises(ValueError, match="name"):
        Light("::1")._replace(name="x")  # type: ignore[call-arg]


def test_described() -> None:
    """What is said of a type beside it can be read."""
    described: Any = light_typing.Annotated[int, "a port"]
    assert described.__origin__ is int
    assert tuple(described.__metadata__) == ("a port",)
