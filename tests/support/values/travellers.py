"""Types and values of every kind that may be asked to travel, as source text: the page of values is written from it."""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Final, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FutureDate,
    Json,
    JsonValue,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    model_validator,
)
from typing_extensions import TypedDict, override

from restate_patterns.api.awakeables import AwakeableId
from restate_patterns.errors import DefinitionError, WrongValue
from restate_patterns.values.serde import codec

T = TypeVar("T")


# --8<-- [start:types]
class Level(enum.Enum):
    LOW = "low"
    SPAN = timedelta(days=1)


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(enum.Enum):
    LEFT = (0, 1)
    RIGHT = (1, 0)


class Item(BaseModel):
    article: str
    count: int = 1


class Gift(Item):
    wish: str = ""


class Approved(BaseModel):
    reason: str


class Rejected(BaseModel):
    reason: str


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str


class Cash(BaseModel):
    kind: Literal["cash"] = "cash"
    number: str


class Tree(BaseModel):
    children: list[Tree] = Field(default_factory=list)


class Measure(BaseModel):
    value: float | None = None


class Blob(BaseModel):
    data: bytes


class Base64Blob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    data: bytes


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


class Boxed(BaseModel, Generic[T]):
    content: T


class Tallied(BaseModel):
    amounts: list[int]

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def total(self) -> int:
        return sum(self.amounts)


class StrictlyTallied(Tallied):
    model_config = ConfigDict(extra="forbid")


class Stripped(BaseModel):
    model_config = ConfigDict(str_strip_whitespace=True)

    name: str


class Renamed(BaseModel):
    user: str = Field(alias="userId")


class TwoNames(BaseModel):
    user: str | None = Field(default=None, validation_alias="userId", serialization_alias="user_id")


class ManyNames(BaseModel):
    user: str = Field(default="", validation_alias=AliasChoices("userId", "user_id"))


class Login(BaseModel):
    user: str
    password: SecretStr


class Cached(BaseModel):
    key: str
    cache: str = Field(default="", exclude=True)


class Excluded(BaseModel):
    key: str = Field(exclude=True)


class Private(BaseModel):
    key: str
    _seen: int = PrivateAttr(default=0)

    def see(self) -> Private:
        self._seen += 1
        return self


class Rounded(BaseModel):
    price: Decimal

    @field_serializer("price")
    def in_cents(self, price: Decimal) -> str:
        return f"{price:.2f}"


class Wrapping(BaseModel):
    key: str

    @model_validator(mode="wrap")
    @classmethod
    def unwrapped(cls, data: Any, handler: Any) -> Any:
        return handler(data)


class Names(RootModel[list[str]]):
    pass


class Row(TypedDict, total=False):
    name: str
    size: float


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Order:
    item: Item
    paid: bool = False


@dataclass
class Rush(Order):
    by: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    seat: str
    zones: tuple[int, ...] = ()


@dataclass
class Salted:
    key: str
    salt: InitVar[str]


@dataclass
class Made:
    key: str
    length: int = field(init=False)

    def __post_init__(self) -> None:
        self.length = len(self.key)


class Handle:
    """An object that nobody knows how to write."""

    @override
    def __repr__(self) -> str:
        return "Handle()"


class Opening(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    handle: Handle


Positive = Annotated[int, Field(gt=0)]
Trimmed = Annotated[str, AfterValidator(str.strip)]
Payment = Annotated[Card | Cash, Field(discriminator="kind")]
Hexadecimal = Annotated[
    int, PlainSerializer(hex), BeforeValidator(lambda given: int(given, 16) if isinstance(given, str) else given)
]
OneWay = Annotated[int, PlainSerializer(hex)]


# --8<-- [end:types]
def nested(depth: int) -> list[Any]:
    """Give a list in a list, `depth` times."""
    return [nested(depth - 1)] if depth else []


_WHAT_TRAVELS: Final = {
    "Plain values": [
        ("int", "3", "10**30", "10**5000", "True", "None", '"3"', "Size.BIG", "3.0"),
        ("bool", "True", "1"),
        ("float", "1.5", "-0.0", 'float("inf")', "3", "2**53 + 1"),
        ("str", '"héllo"', r'"\ud800"', "Colour.RED", 'AwakeableId("sign_1x")', "None"),
        ("bytes", r'b"\xff"', 'b""', "None", 'bytearray(b"x")'),
        ("int | None", "3", "None"),
        ("Positive", "3", "-3"),
        ('Literal["a", "b"]', '"a"', '"c"', "None"),
        ("complex", "1 + 2j"),
        ("Decimal", 'Decimal("1.10")', 'Decimal("1E+3")'),
        ("UUID", "UUID(int=7)"),
        ("Path", 'Path("/tmp/x")'),
        ("IPv4Address", 'IPv4Address("127.0.0.1")'),
    ],
    "Time": [
        ("date", "date(2026, 10, 25)", "datetime(2026, 10, 25)"),
        (
            "datetime",
            "datetime(2026, 10, 25, 2, 30)",
            "datetime(2026, 10, 25, 2, 30, tzinfo=UTC)",
            "datetime(2026, 10, 25, 2, 30, tzinfo=timezone(timedelta(hours=2)))",
            'datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))',
            "datetime(2026, 10, 25, 2, 30, fold=1)",
        ),
        ("time", "time(9, 0)", "time(9, 0, tzinfo=UTC)", 'time(9, 0, tzinfo=ZoneInfo("Europe/Berlin"))'),
        ("timedelta", "timedelta(days=-1, microseconds=1)", "timedelta(days=999_999_999)"),
        ("FutureDate", "date(9999, 1, 1)"),
    ],
    "Enums": [
        ("Level", "Level.LOW", "Level.SPAN", '"low"'),
        ("Size", "Size.BIG", "3"),
        ("Right", "Right.READ", "Right.READ | Right.WRITE"),
        ("Pair", "Pair.LEFT"),
    ],
    "Collections": [
        ("list[int]", "[1, 2]", "[1, None]", "(1, 2)", "[1, True]"),
        ("tuple[int, str]", '(1, "a")', '[1, "a"]'),
        ("set[str]", '{"a", "b"}', '["a", "b"]'),
        ("frozenset[int]", "frozenset({1})", "{1}"),
        ("deque[int]", "deque([1])", "deque([1], maxlen=3)"),
        ("dict[str, int]", '{"a": 1}', "{1: 1}"),
        ("dict[int, str]", '{1: "a"}'),
        ("dict[date, int]", "{date(2026, 10, 25): 1}"),
        ("dict[tuple[int, int], str]", '{(1, 2): "a"}'),
        ("OrderedDict[str, int]", "OrderedDict(b=1, a=2)"),
        ("defaultdict[str, int]", "defaultdict(int, a=1)", "defaultdict(lambda: 3, a=1)"),
        ("Counter[str]", 'Counter("abba")'),
        ("Sequence[int]", "[1, 2]", "(1, 2)"),
        ("Mapping[str, int]", '{"a": 1}'),
        ("Iterable[int]", "[1, 2]"),
    ],
    "Models, dataclasses, TypedDicts": [
        ("Item", 'Item(article="tea")', 'Gift(article="tea", wish="x")', '{"article": "tea"}', "None"),
        ("Item", 'Item.model_construct(article=None)', 'Item.model_construct(article="tea", count="3")'),
        ("Order", 'Order(Item(article="tea"))', 'Rush(Order(Item(article="tea")).item, by=3)'),
        ("Ticket", 'Ticket(seat="12A", zones=(1, 2))', 'Ticket(seat="12A", zones=[1, 2])'),
        ("Row", '{"name": "a"}', '{"name": "a", "other": 1}', '{"size": float("nan")}'),
        ("Point", "Point(1, 2)", "(1, 2)"),
        ("Boxed[int]", "Boxed[int](content=1)", 'Boxed[str](content="1")'),
        ("Names", 'Names(["ann"])'),
        ("Tree", "Tree(children=[Tree()])"),
        ("Measure", "Measure(value=1.5)", "Measure(value=None)", 'Measure(value=float("inf"))'),
        ("Blob", 'Blob(data=b"abc")', r'Blob(data=b"\xff")'),
        ("Base64Blob", r'Base64Blob(data=b"\xff")'),
        ("Anything", "Anything(x=1, y=[2])", "Anything(x=(1, 2))"),
        ("Private", 'Private(key="a")', 'Private(key="a").see()'),
        ("Renamed", 'Renamed(userId="ann")'),
        ("Tallied", "Tallied(amounts=[1, 2])"),
        ("StrictlyTallied", "StrictlyTallied(amounts=[1, 2])"),
        ("TwoNames", 'TwoNames(userId="ann")'),
        ("ManyNames", 'ManyNames(userId="ann")'),
        ("Cached", 'Cached(key="a")', 'Cached(key="a", cache="b")'),
        ("Excluded", 'Excluded(key="a")'),
        ("Login", 'Login(user="ann", password="x")'),
        ("Salted", 'Salted("a", salt="b")'),
        ("Made", 'Made("abc")'),
        ("Opening", "Opening(handle=Handle())"),
    ],
    "Unions": [
        ("int | str", "3", '"3"'),
        ("Approved | Rejected", 'Approved(reason="x")', 'Rejected(reason="x")'),
        ("Payment", 'Card(number="1")', 'Cash(number="1")'),
        ("Colour | str", '"blue"', "Colour.RED", '"red"'),
        ("tuple[int, ...] | list[int]", "(1,)", "[1]"),
        ("dict[int | str, int]", '{"a": 1}', "{1: 1}", '{"1": 1}'),
        ("datetime | str", '"2026-10-25"', '"tomorrow"'),
        ("int | SecretStr", "3", 'SecretStr("x")'),
    ],
    "Anything": [
        ("Any", '{"a": [1, None]}', "(1, 2)", "{1: 2}", 'Item(article="tea")', "Decimal(1)", "nested(90)"),
        ("Any", "nested(300)"),
        ("JsonValue", '{"a": [1, None]}', '{"a": (1, 2)}', "nested(300)"),
        ("dict[str, Any]", '{"a": 1}', '{"a": Item(article="tea")}', '{"a": {1, 2}}', '{"a": float("nan")}'),
        ("Callable[[], int]", "dict"),
        ("type[int]", "int"),
        ("Handle", "Handle()"),
        ("SecretStr", 'SecretStr("x")'),
        ("Json[list[int]]", "[1, 2]"),
    ],
    "Validators and serializers of your own": [
        ("Trimmed", '"a"', '" a "'),
        ("Stripped", 'Stripped(name="a")', 'Stripped.model_construct(name=" a ")'),
        ("Hexadecimal", "255"),
        ("OneWay", "255"),
        ("Rounded", 'Rounded(price=Decimal("1.10"))', 'Rounded(price=Decimal("1.101"))'),
        ("Wrapping", 'Wrapping(key="a")'),
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Traveller:
    """A type and a value, as they are written in code."""

    subject: str
    type_text: str
    value_text: str

    @property
    def type(self) -> Any:
        """The type."""
        return eval(self.type_text, globals())

    @property
    def value(self) -> Any:
        """The value."""
        return eval(self.value_text, globals())

    def outcome(self) -> str:
        """Say what happens to it: nothing where it comes back, else the sentence that refuses it."""
        try:
            declared = codec(self.type)
        except DefinitionError as error:
            return f"type: {error}"
        try:
            declared.encode(self.value)
        except WrongValue as error:
            return f"value: {error}"
        return ""


TRAVELLERS: Final = [
    Traveller(subject, type_text, value_text)
    for subject, rows in _WHAT_TRAVELS.items()
    for type_text, *value_texts in rows
    for value_text in value_texts
]
