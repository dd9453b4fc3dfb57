"""Loggers of handlers: named after the handler, saying each line once, whatever is replayed and tried again."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from restate_patterns.api.specs import HandlerSpec
    from restate_patterns.execution.attempt import DurableAttempt


class ReplayAwareLogger(logging.LoggerAdapter[logging.Logger]):
    """Drops what an earlier attempt of the handler has said."""

    def __init__(self, logger: logging.Logger, attempt: DurableAttempt) -> None:
        super().__init__(logger, {"invocation_id": attempt.invocation.id})
        self._attempt = attempt

    @override
    def isEnabledFor(self, level: int) -> bool:
        return not self._attempt.replaying and super().isEnabledFor(level)

    @override
    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if super().isEnabledFor(level) and self._attempt.says((level, str(msg))):
            text, options = self.process(msg, kwargs)
            options["stacklevel"] = options.get("stacklevel", 1) + 1  # the caller is the handler, not this method
            self.logger.log(level, text, *args, **options)

    @override
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        extra: Mapping[str, object] = kwargs.get("extra") or {}
        kwargs["extra"] = {**(self.extra or {}), **extra}
        return msg, kwargs


def logger_of(attempt: DurableAttempt, handler: HandlerSpec) -> ReplayAwareLogger:
    """Return the logger of an attempt; named `module.Service.handler` by the wire names."""
    name = f"{handler.definition.__module__}.{handler.service}.{handler.name}"
    return ReplayAwareLogger(logging.getLogger(name), attempt)
