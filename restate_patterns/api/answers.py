"""What others answer, to be awaited: awakeables and signals share it. Knows neither."""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import override

if TYPE_CHECKING:
    from restate_patterns.values.serde import Codec

T = TypeVar("T")  # invariant: a covariant one would let it be answered with a wider type


class Answer(Generic[T]):
    """Something to await that others answer, as often as wanted and by several tasks.

    Args:
        answer: What to await.
        codec: Of the answer.
        what: What is answered, in words, without its article.
    """

    __slots__ = ("_answer", "_codec", "_what")

    def __init__(self, answer: Awaitable[bytes], codec: Codec[T], what: str) -> None:
        self._answer = answer
        self._codec = codec
        self._what = what

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait for the answer.

        Raises:
            TerminalError: It was rejected; as the class that was given, where that is imported.
        """
        data = yield from self._answer.__await__()
        return self._codec.read(data, "the answer of the {}", self._what)

    @override
    def __repr__(self) -> str:
        return f"<{self._what}>"
