"""SQL for the introspection of a Restate server: literals that nobody can break out of, and references.

The dialect is DataFusion's: in a quoted literal only the quote itself is special, and is doubled.
"""

from __future__ import annotations

from collections.abc import Iterable

from restate_patterns.seam import RUN_HANDLER, IdempotencyRef, WorkflowRef


def literal(text: str) -> str:
    """Write a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def equals(column: str, text: str | None) -> str:
    """Write the condition that a column has this text, or none."""
    return f"{column} IS NULL" if text is None else f"{column} = {literal(text)}"


def among(column: str, texts: Iterable[str]) -> str:
    """Write the condition that a column has one of these texts, of which there is at least one."""
    return f"{column} IN ({', '.join(map(literal, texts))})"


def resolving(ref: IdempotencyRef | WorkflowRef) -> str:
    """Write the query for the id of the invocation that a reference names.

    The first that was made: one that was restarted from it has an id of its own.
    """
    if isinstance(ref, WorkflowRef):
        conditions = [
            equals("target_service_name", ref.service),
            equals("target_service_key", ref.key),
            equals("target_handler_name", RUN_HANDLER),
        ]
    else:
        conditions = [
            equals("target_service_name", ref.target.service),
            equals("target_service_key", ref.target.key),
            equals("target_handler_name", ref.target.handler),
            equals("idempotency_key", ref.idempotency_key),
        ]
    return f"SELECT id FROM sys_invocation WHERE {' AND '.join(conditions)} ORDER BY created_at LIMIT 1"
