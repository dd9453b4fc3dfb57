"""Charts for tests: one with everything, and the same machine written as SCXML and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from statemachine import HistoryState, StateChart
from statemachine import State as Place

from restate_patterns import Statechart


@dataclass
class Tally:
    """What the press counts."""

    pages: int = 0
    jams: int = 0
    lines: list[str] = field(default_factory=list)


class PressChart(StateChart[Tally]):
    """A printing press: compound, parallel and history states, guards, eventless transitions."""

    class running(Place.Parallel):
        class paper(Place.Compound):
            feeding = Place(initial=True)
            jammed = Place()
            empty = Place()
            jam = feeding.to(jammed)
            unjam = jammed.to(feeding)
            refill = empty.to(feeding)
            print_page = feeding.to(feeding, cond="has_paper", on="count") | feeding.to(empty, unless="has_paper")

        class ink(Place.Compound):
            wet = Place(initial=True)
            dry = Place()
            dry_up = wet.to(dry, cond="is_used")
            ink_up = dry.to(wet)

        last = HistoryState(type="deep")

    off = Place(initial=True)
    paused = Place()
    scrapped = Place(final=True)

    switch_on = off.to(running)
    pause = running.to(paused)
    resume = paused.to(running.last)
    scrap = paused.to(scrapped) | off.to(scrapped)
    switch_off = running.to(off)

    def has_paper(self) -> bool:
        return self.model.pages % 5 < 4

    def is_used(self) -> bool:
        return self.model.pages > 1

    def count(self) -> None:
        self.model.pages += 1

    def on_enter_jammed(self) -> None:
        self.model.jams += 1

    def on_enter_state(self, target: Any) -> None:
        self.model.lines.append(f"enter {target.id}")

    def on_exit_state(self, source: Any) -> None:
        self.model.lines.append(f"exit {source.id}")


PRESS_EVENTS = [
    "switch_on",
    "pause",
    "resume",
    "scrap",
    "switch_off",
    "jam",
    "unjam",
    "refill",
    "print_page",
    "dry_up",
    "ink_up",
]


class Press(Statechart, chart=PressChart, model=Tally): ...


SCXML = """
<scxml xmlns="http://www.w3.org/2005/07/scxml" version="1.0" initial="brewing" name="kettle" datamodel="ecmascript">
  <datamodel><data id="cups" expr="0"/><data id="limit" expr="2"/></datamodel>
  <state id="brewing" initial="cold">
    <history id="was" type="shallow"><transition target="cold"/></history>
    <transition event="cut" target="silent"/>
    <state id="cold">
      <transition event="heat" target="warming"/>
    </state>
    <state id="warming">
      <onentry><send event="boiled" id="boil" delay="90s"/></onentry>
      <onexit><cancel sendid="boil"/></onexit>
      <transition event="boiled" target="hot"/>
      <transition event="stop" target="cold"/>
    </state>
    <state id="hot">
      <transition event="pour" cond="cups &lt; limit" target="hot">
        <assign location="cups" expr="cups + 1"/>
      </transition>
      <transition event="pour" target="cold"><assign location="cups" expr="0"/></transition>
      <transition event="serve" cond="_event.data.cups == 1" target="cold"/>
    </state>
  </state>
  <state id="silent"><transition event="back" target="was"/></state>
</scxml>
"""

JSON = json.dumps(
    {
        "name": "toaster",
        "datamodel": {"slices": "0"},
        "states": {
            "idle": {
                "initial": True,
                "transitions": [
                    {"event": "push", "target": "hot", "on": [{"assign": {"location": "slices", "expr": "slices + 1"}}]}
                ],
            },
            "hot": {
                "enter": ["ring_later", {"send": {"event": "pop", "id": "pop", "delay": "3s"}}],
                "transitions": [
                    {"event": "pop", "target": "full", "cond": "slices >= 2"},
                    {"event": "pop", "target": "idle"},
                ],
            },
            "full": {"final": True},
        },
    }
)
"""A toaster that takes two slices; `ring_later` is a method of the virtual object."""
