"""Wrong uses of the API: each line marked `error` in a comment is rejected by mypy and by pyright, and no other.

A line marked `error (mypy)` passes pyright and is refused at run time, see `tests/unit/api/test_refusals.py`.
Never executed, and kept out of the project's own type checks; `test_misuse` runs the checkers here.
"""
