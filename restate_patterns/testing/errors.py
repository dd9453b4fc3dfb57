"""What is raised in tests."""

from __future__ import annotations


class EndlessWait(Exception):  # noqa: N818 - named for the state of affairs
    """A test waits for an invocation that nothing in the test can move on any more.

    Args:
        subject: The invocation: its target and id.
        why: What it is or waits for: "is paused: ...", "waits for a timer, in 15 min".
        fixes: What would move it on, each a piece of a sentence.
    """

    def __init__(self, subject: str, why: str, fixes: tuple[str, ...]) -> None:
        fix = "; or ".join(fixes) or "let something bring it"
        super().__init__(
            f"{subject} {why}. This test waits for its end and does nothing else, so that never comes: {fix}, before "
            "this wait or in a task beside it"
        )
        self.subject = subject
        self.why = why
        self.fixes = fixes
