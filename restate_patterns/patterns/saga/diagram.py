"""A saga's record as a Mermaid sequence diagram. Pure text from a value."""

from __future__ import annotations

import re
from typing import Final

from restate_patterns.patterns.saga.record import SagaRecord, SagaState, SagaStep, SagaStepKind, SagaStepState

_ANSWERS: Final = {
    SagaStepState.RUNNING: "",
    SagaStepState.DONE: "done",
    SagaStepState.FAILED: "failed",
    SagaStepState.UNKNOWN: "outcome unknown",
    SagaStepState.STUCK: "stuck",
    SagaStepState.SKIPPED: "skipped by a person",
    SagaStepState.SUPPLIED: "done by a person",
}
_ENDS: Final = {
    SagaState.RUNNING: "still running",
    SagaState.UNDOING: "being undone",
    SagaState.STUCK: "stuck, waits for a person",
    SagaState.COMMITTED: "committed",
    SagaState.UNDONE: "undone",
    SagaState.FAILED: "failed",
}


def saga_diagram(record: SagaRecord) -> str:
    """Draw a saga as a Mermaid `sequenceDiagram`, ending with a line break."""
    own = _participant(record.name)
    called = dict.fromkeys(step.participant for step in record.steps if step.participant is not None)
    lines = ["sequenceDiagram", f"    participant {own} as {_text(record.name)}"]
    lines += [f"    participant {_participant(name)} as {_text(name)}" for name in called]
    undoing = False
    for step in record.steps:
        if step.kind is SagaStepKind.UNDO and not undoing:
            undoing = True
            lines.append(f"    Note over {own}: undo, because {_text(_why(record))}")
        lines += [f"    {line}" for line in _step(step, own)]
    lines.append(f"    Note over {own}: {_ENDS[record.state]}")
    return "\n".join(lines) + "\n"


def _step(step: SagaStep, own: str) -> list[str]:
    if step.kind is SagaStepKind.PIVOT:
        return [f"Note over {own}: pivot, from here only forward"]
    verb = f"undo {step.name}" if step.kind is SagaStepKind.UNDO else step.name
    answer = _ANSWERS[step.state]
    if step.last_error is not None and step.state is not SagaStepState.DONE:
        answer += f", {step.last_error.message}"
    if step.failed_count and step.state is SagaStepState.DONE:
        answer += f" after {step.failed_count} failed tries"
    lines: list[str] = []
    if step.participant is None:
        lines.append(f"{own}->>{own}: {_text(f'{verb}, {answer}' if answer else verb)}")
    else:
        other = _participant(step.participant)
        lines.append(f"{own}->>{other}: {_text(verb)}")
        if answer:
            arrow = "-->>" if step.state is SagaStepState.DONE else "--x"
            lines.append(f"{other}{arrow}{own}: {_text(answer)}")
    lines += [f"Note over {own}: {_text(decision)}" for decision in step.decisions]
    return lines


def _why(record: SagaRecord) -> str:
    return record.error.message if record.error is not None else "a part of it failed"


def _participant(name: str) -> str:
    """Give a name that Mermaid takes for a participant: none of its keywords is followed by an underscore."""
    return re.sub(r"\W", "_", name) + "_"


def _text(text: str) -> str:
    """Take out what would end a line or start a comment in Mermaid."""
    return re.sub(r"\s+", " ", text).replace(";", ",").replace("#", "no. ").strip()
