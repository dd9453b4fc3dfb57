"""What the author of a pattern needs beyond the context: this package is what our own patterns stand on.

See the guide "Writing a pattern". What takes a context is for code that runs inside a handler, on a context of it.
"""

from restate_patterns.api.handler_clients import without_timeout
from restate_patterns.toolkit.callees import (
    Callee,
    RawCall,
    call_raw,
    callee,
    kept_arguments,
    kept_for,
    raw_call,
    result_codec,
    stopping,
)
from restate_patterns.toolkit.definitions import (
    Codec,
    codec,
    comes_back,
    declarations,
    read_definition,
    type_arguments,
    wire_name,
)
from restate_patterns.toolkit.endings import ended, owed, to_the_end
from restate_patterns.toolkit.errors import ATTEMPT_OVER, failure_name, from_failure, leaves_of, terminal, to_failure
from restate_patterns.toolkit.invocations import (
    break_off,
    cancel_count,
    handler_label,
    has_ended,
    hosts,
    must_be_awaited,
    must_not_end,
    number_in_attempt,
    service_name,
    stored_state,
    wait_for_end,
)
from restate_patterns.toolkit.sleeping import sleep_for
from restate_patterns.toolkit.steps import BoundStep, bound_step
from restate_patterns.toolkit.targets import is_private, why_refused

__all__ = [
    "ATTEMPT_OVER",
    "BoundStep",
    "Callee",
    "Codec",
    "RawCall",
    "bound_step",
    "break_off",
    "call_raw",
    "callee",
    "cancel_count",
    "codec",
    "comes_back",
    "declarations",
    "ended",
    "failure_name",
    "from_failure",
    "handler_label",
    "has_ended",
    "hosts",
    "is_private",
    "kept_arguments",
    "kept_for",
    "leaves_of",
    "must_be_awaited",
    "must_not_end",
    "number_in_attempt",
    "owed",
    "raw_call",
    "read_definition",
    "result_codec",
    "service_name",
    "sleep_for",
    "stopping",
    "stored_state",
    "terminal",
    "to_failure",
    "to_the_end",
    "type_arguments",
    "wait_for_end",
    "why_refused",
    "wire_name",
    "without_timeout",
]
