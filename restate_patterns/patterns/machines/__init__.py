"""State machines as virtual objects: a table of transitions, declared on typed handlers."""
