"""Services, virtual objects and workflows as classes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from restate_patterns.api.definition_reader import OPTIONS, check
from restate_patterns.api.specs import Defined, DefinitionOptions
from restate_patterns.errors import DefinitionError, UsageError
from restate_patterns.execution.loop import InnerLoop
from restate_patterns.options import HandlerOptions
from restate_patterns.retries import RetryPolicy
from restate_patterns.seam import ServiceKind


class Definition(Defined):
    """What the three kinds share. Derive from `Service`, `VirtualObject` or `Workflow` instead.

    Instances are what an `App` is made of; `self` carries dependencies, given to the constructor.
    """

    __restate_options__: ClassVar[DefinitionOptions] = DefinitionOptions("", HandlerOptions())

    @override
    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        retry: RetryPolicy | None = None,
        retention: timedelta | None = None,
        inactivity_timeout: timedelta | None = None,
        private: bool | None = None,
        lazy_state: bool | None = None,
    ) -> None:
        """Check the class.

        Args:
            name: The wire name. Default: the name of the class.
            retry: How failing attempts of its handlers are tried again.
            retention: How long results of its handlers stay readable.
            inactivity_timeout: How long an idle invocation stays in memory.
            private: True when only other handlers may call it.
            lazy_state: True when a Restate server is to send state as it is read, not with each attempt.

        Raises:
            DefinitionError: The class is wrong; the sentence names it, the handler and the fix.
        """
        super().__init_subclass__()
        if OPTIONS not in cls.__dict__:  # a decorator that makes the class anew calls this without the arguments
            own = HandlerOptions(
                retry=retry,
                retention=retention,
                inactivity_timeout=inactivity_timeout,
                private=private,
                lazy_state=lazy_state,
            )
            cls.__restate_options__ = DefinitionOptions(
                name or cls.__name__, own.or_else(cls.__restate_options__.options)
            )
        if "__restate_kind__" in cls.__dict__:
            return
        kinds = [kind for kind in (Service, VirtualObject, Workflow) if issubclass(cls, kind)]
        if len(kinds) != 1:
            has = " and ".join(kind.__name__ for kind in kinds) or "Definition"
            raise DefinitionError(
                f"{cls.__qualname__} derives from {has}; derive from one of Service, VirtualObject and Workflow"
            )
        check(cls)

    if not TYPE_CHECKING:  # a checker would take it as leave to assign anything

        def __setattr__(self, name: str, value: object) -> None:
            """Refuse assignments in a handler: self is shared by all invocations and forgotten by a crash."""
            if isinstance(asyncio._get_running_loop(), InnerLoop):
                raise UsageError(
                    f"`self.{name} = ...` in a handler of {type(self).__qualname__}: self is shared by all invocations "
                    f"and not durable; declare `{name} = State[...]()` and write `self.{name}.set(ctx, ...)`"
                )
            object.__setattr__(self, name, value)


class Service(Definition):
    """Stateless handlers; any number of invocations at the same time."""

    __restate_kind__ = ServiceKind.SERVICE


class VirtualObject(Definition):
    """Handlers over the state of a key; those that write run one at a time per key, first in first out."""

    __restate_kind__ = ServiceKind.VIRTUAL_OBJECT


class Workflow(Definition):
    """A handler `run` that happens once per key, and handlers beside it that read and answer promises."""

    __restate_kind__ = ServiceKind.WORKFLOW
