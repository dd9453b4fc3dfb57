"""Reading definition classes, for patterns that are declared in one."""

from restate_patterns.api.definition_reader import read_definition
from restate_patterns.api.handlers import declarations, wire_name
from restate_patterns.api.signatures import type_arguments
from restate_patterns.values.losses import comes_back
from restate_patterns.values.serde import Codec, codec

__all__ = ["Codec", "codec", "comes_back", "declarations", "read_definition", "type_arguments", "wire_name"]
