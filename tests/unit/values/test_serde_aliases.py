"""A model with aliases means on the wire what its schema says, and comes back as it went."""

from __future__ import annotations

from pydantic import BaseModel, Field

from restate_patterns.values.serde import Codec


class Order(BaseModel):
    user_id: str = Field(alias="userId")
    note: str = Field(default="none", alias="noteText")


def test_aliases_are_the_wire_names() -> None:
    order = Order(userId="ann", noteText="window seat")
    codec: Codec[Order] = Codec(Order)
    assert codec.encode(order) == b'{"userId":"ann","noteText":"window seat"}'
    assert codec.decode(codec.encode(order)) == order


def test_aliases_inside_a_list() -> None:
    orders = [Order(userId="ann", noteText="window seat")]
    codec: Codec[list[Order]] = Codec(list[Order])
    assert codec.encode(orders) == b'[{"userId":"ann","noteText":"window seat"}]'
    assert codec.decode(codec.encode(orders)) == orders
