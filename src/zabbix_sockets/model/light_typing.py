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
    from collections.abc import Iterable
    from functools import lru_cache
    from types import CodeType, FunctionType

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

    class _TupleMaker(type):
        """Makes the classes that are said to inherit from NamedTuple: they inherit from tuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, object]) -> type:
            if not bases:  # NamedTuple itself
                return super().__new__(cls, name, bases, body)
            # From Python 3.14 on; 1: as values.
            annotate = body.get("__annotate__") or body.get("__annotate_func__")
            fields = tuple(body.get("__annotations__") or (annotate(1) if annotate else ()))
            defaults = {field: body[field] for field in fields if field in body}
            getters = {field: _tuplegetter(at, None) for at, field in enumerate(fields)}
            body = {**_methods(name, fields, defaults), **body, **getters}
            return type(name, (tuple,), {**body, "__slots__": ()})

    class NamedTuple(metaclass=_TupleMaker):
        """A tuple whose items have names."""

    def _methods(
        name: str, fields: tuple[str, ...], defaults: dict[str, object]
    ) -> dict[str, object]:
        """Return what collections.namedtuple gives a class, beside its fields."""

        def make(cls: type, values: Iterable[object]) -> tuple[object, ...]:
            made = _new(cls, values)
            if len(made) != len(fields):
                raise TypeError(f"{name} has {len(fields)} fields, not {len(made)}")
            return made

        def replace(self: tuple[object, ...], **named: object) -> tuple[object, ...]:
            values = [named.pop(field, value) for field, value in zip(fields, self)]
            if named:
                raise ValueError(f"{name} has no {', '.join(named)}")
            return _new(type(self), values)

        def show(self: tuple[object, ...]) -> str:
            values = (f"{field}={value!r}" for field, value in zip(fields, self))
            return f"{name}({', '.join(values)})"

        create = FunctionType(
            _creator(len(fields)).replace(co_varnames=("_cls", *fields), co_name="__new__"),
            {"_new": _new},
        )
        create.__qualname__ = f"{name}.__new__"
        create.__defaults__ = tuple(defaults.values())
        return {
            "_fields": fields,
            "_field_defaults": defaults,
            "__match_args__": fields,
            "__new__": create,
            "__repr__": show,
            "__getnewargs__": lambda self: _new(tuple, self),
            "_asdict": lambda self: dict(zip(fields, self)),
            "_make": classmethod(make),
            "_replace": replace,
            "__replace__": replace,  # of copy.replace(), from Python 3.13 on
        }

    @lru_cache(None)
    def _creator(size: int) -> CodeType:
        """Return the code of the __new__ of a tuple of so many fields, which have no names yet.

        To compile it takes most of the time that a class takes to make, and most classes have as
        many fields as others.
        """
        fields = "".join(f"_{number}, " for number in range(size))
        return compile(f"lambda _cls, {fields}: _new(_cls, ({fields}))", "", "eval").co_consts[0]
