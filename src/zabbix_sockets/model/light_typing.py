"""What an agent's call needs of typing, without the import of typing.

typing imports re and enum, and takes 60 to 100 microseconds to make the class of a NamedTuple, of
which such a call has some thirty. So model, readers, collector, grouping, filters and document take
these names from here, and of command what such a call imports. mypy sees typing's own; Python sees
stand-ins, which do what is needed of them when the program runs. All others use typing itself.
"""

__all__ = [
    "Annotated",
    "Any",
    "BinaryIO",
    "Final",
    "Generic",
    "Literal",
    "NamedTuple",
    "NoReturn",
    "Optional",
    "Protocol",
    "TypeVar",
    "Union",
    "cast",
]

TYPE_CHECKING = False  # typing's own is what this does without
if TYPE_CHECKING:
    from typing import (
        Annotated,
        Any,
        BinaryIO,
        Final,
        Generic,
        Literal,
        NamedTuple,
        NoReturn,
        Optional,
        Protocol,
        TypeVar,
        Union,
        cast,
    )
else:
    from _collections import _tuplegetter  # the C type of the fields of collections.namedtuple
    from _collections_abc import Iterable

    from zabbix_sockets.model.light_library import cache

    _Function = type(lambda: None)
    _new = tuple.__new__

    class _Type:
        """A type that only mypy looks at."""

        def __getitem__(self, _inner: object) -> "_Type":
            return self

    Any = BinaryIO = Final = Literal = NoReturn = Optional = Union = _Type()

    class Annotated:
        """A type with what else is said of it, which model.option reads."""

        def __class_getitem__(cls, described: tuple[object, ...]) -> "Annotated":
            found = cls()
            found.__origin__, *found.__metadata__ = described
            return found

    class Generic:
        """A base that takes types."""

        __slots__ = ()

        def __class_getitem__(cls, _types: object) -> type:
            return cls

    Protocol = Generic

    def TypeVar(name: str, **_bound: object) -> str:  # noqa: N802  # as typing calls it
        """Return a type that isn't known yet."""
        return name

    def cast(_type: object, value: object) -> object:
        """Return *value*, which mypy takes for one of that type."""
        return value

    class _Tuple(tuple):
        """What collections.namedtuple gives a class, beside its fields."""

        __slots__ = ()

        @classmethod
        def _make(cls, values: Iterable[object]) -> "_Tuple":
            made = _new(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(made)}")
            return made

        def _replace(self, **named: object) -> "_Tuple":
            values = [named.pop(field, value) for field, value in zip(self._fields, self)]
            if named:
                raise ValueError(f"{type(self).__name__} has no {', '.join(named)}")
            return _new(type(self), values)

        __replace__ = _replace  # of copy.replace(), from Python 3.13 on

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self))

        def __repr__(self) -> str:
            values = (f"{field}={value!r}" for field, value in zip(self._fields, self))
            return f"{type(self).__name__}({', '.join(values)})"

        def __getnewargs__(self) -> tuple[object, ...]:
            return _new(tuple, self)

    class _TupleMaker(type):
        """Makes the classes that are said to inherit from NamedTuple: they inherit from _Tuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            if not bases:  # NamedTuple itself
                return super().__new__(cls, name, bases, body)
            # From Python 3.14 on; 1: as values.
            annotate = body.get("__annotate__") or body.get("__annotate_func__")
            fields = tuple(body.get("__annotations__") or (annotate(1) if annotate else ()))
            defaults = {field: body[field] for field in fields if field in body}
            code = _creator(len(fields)).replace(co_varnames=("_cls", *fields), co_name="__new__")
            create = _Function(code, {"_new": _new}, "__new__", tuple(defaults.values()))
            create.__qualname__ = f"{name}.__new__"
            body.update({field: _tuplegetter(at, None) for at, field in enumerate(fields)})
            body.update(_fields=fields, _field_defaults=defaults, __match_args__=fields)
            return type(name, (_Tuple,), {**body, "__new__": create, "__slots__": ()})

    class NamedTuple(metaclass=_TupleMaker):
        """A tuple whose items have names."""

    @cache
    def _creator(size: int) -> object:
        """Return the code of the __new__ of a tuple of so many fields, which have no names yet.

        To compile it takes most of the time that a class takes to make, and most classes have as
        many fields as others. eval() does it, as compile() would define the classes of ast first,
        which takes a millisecond.
        """
        fields = "".join(f"_{number}, " for number in range(size))
        return eval(f"lambda _cls, {fields}: _new(_cls, ({fields}))").__code__  # noqa: S307  # its text is made here alone
