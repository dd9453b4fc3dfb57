"""The rows of the table; each module owns one kind of measurement."""

from __future__ import annotations

from benchmarks.rows.base import Row
from benchmarks.rows.fan_out import FAN_OUT
from benchmarks.rows.on_restate import ON_RESTATE
from benchmarks.rows.paired import PAIRED
from benchmarks.rows.stored import Stored, Suspended

ROWS: list[Row] = [*PAIRED, *ON_RESTATE, *FAN_OUT, Suspended(), Stored()]
