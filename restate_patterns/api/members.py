"""What `State`, `DurablePromise` and `Signal` share: a typed thing that a class declares and its handlers use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Never, TypeVar, cast, get_args

from typing_extensions import override

from restate_patterns.errors import DefinitionError, UsageError
from restate_patterns.text.wording import why_no_text
from restate_patterns.values.serde import type_name

if TYPE_CHECKING:
    from restate_patterns.api.scopes import Scope
    from restate_patterns.seam import ServiceKind
    from restate_patterns.values.serde import Codec

T = TypeVar("T")  # invariant: a covariant one would let a value of a wider type be written


class Declared(Generic[T]):
    """A typed member of a definition class.

    Args:
        name: The wire name. Default: the name of the attribute.

    Raises:
        DefinitionError: The name is no text that can be stored.
    """

    kind: ClassVar[str]
    """What it is called in sentences."""
    owners: ClassVar[frozenset[ServiceKind]]
    """The kinds of definition that may declare it."""
    kept_by: ClassVar[str] = "the key"
    """What its value belongs to."""
    is_own: ClassVar[bool] = False
    """Whether nobody reaches it but through what declares it, also under a name made at run time."""
    label: str
    """The class and the attribute, for sentences."""
    __orig_class__: Any

    def __init__(self, name: str | None) -> None:
        if name is not None and (reason := why_no_text(name)) is not None:
            raise DefinitionError(f"{type(self).__name__}: the name {reason}")
        self._name = name
        self._attribute = ""
        self._owner = ""
        self.label = f"<{self.kind} that no class declares>"

    def __set_name__(self, owner: type, name: str) -> None:
        self._attribute = name
        self._owner = owner.__qualname__
        self.label = f"{self._owner}.{name}"

    def __set__(self, instance: Any, value: Never, /) -> None:
        """Refuse: the declaration stays, its value changes through its methods."""
        raise UsageError(
            f"`self.{self._attribute} = ...`: {self.label} is a {self.kind}, kept by {self.kept_by} and not by self; "
            f"{self._instead_of_assigning()}"
        )

    @property
    def attribute(self) -> str:
        """The name of the attribute that declares it."""
        return self._attribute

    @property
    def name(self) -> str:
        """The wire name."""
        return self._name or self._attribute

    def declared_type(self) -> Any:
        """Return the type in the brackets.

        Raises:
            DefinitionError: There are no brackets.
        """
        arguments = get_args(getattr(self, "__orig_class__", None))
        if not arguments:
            cls = type(self).__name__
            raise DefinitionError(
                f"{self.label}: the {self.kind} has no type; write it in brackets: "
                f"`{self._attribute} = {cls}[str](...)`"
            )
        return arguments[0]

    def check(self, codec: Codec[T]) -> None:
        """Check what was declared beside the type; called when the class is read.

        Raises:
            DefinitionError: It does not go with the type.
        """

    def when_unset(self) -> T:
        """Return what stands for a value that is not there."""
        raise NotImplementedError

    def _instead_of_assigning(self) -> str:
        raise NotImplementedError

    def _codec(self, scope: Scope) -> Codec[T]:
        codec = scope.service.declared.get(self)
        if codec is None:
            raise UsageError(
                f"{self.label} was used in {scope.handler.label}: a {self.kind} is reached from handlers of its "
                f"own class only. Call a handler of {self._owner or 'the class that declares it'} that does it"
            )
        return codec

    @override
    def __repr__(self) -> str:
        return f"<{self.kind} {self.label}>"


def declared_as(scope: Scope, kind: str, name: str, type_: object, what: str) -> Declared[Any] | None:
    """Return what the class of a handler declares under a wire name, where it declares something.

    Args:
        scope: The handler.
        kind: What kind of member, as in `Declared.kind`.
        name: The wire name.
        type_: The type by which the handler asks for it.
        what: What was tried, in words, for the error.

    Raises:
        UsageError: It is declared with another type, or is nobody's business but its own.
    """
    for member, codec in scope.service.declared.items():
        found = cast("Declared[Any]", member)
        if (found.kind, found.name) != (kind, name):
            continue
        if found.is_own:
            raise UsageError(f"{what}: {found.label} has this name and is reached as self.{found.attribute} only")
        if codec.type != type_:
            raise UsageError(
                f"{what}: {found.label} is declared under this name as {type_name(codec.type)}, not as "
                f"{type_name(type_)}; give the {kind} that is named here another name, or use self.{found.attribute}"
            )
        return found
    return None


def check_context(ctx: object, kind: type, what: str) -> None:
    """Check that `ctx` is a context of a kind.

    Raises:
        UsageError: It is not; the sentence names what was tried and what it takes.
    """
    if not isinstance(ctx, kind):
        got = type(ctx).__qualname__
        raise UsageError(f"{what} takes the handler's own {kind.__name__}; this one is a {got}")
