"""Runs one side: `python -m benchmarks.workers NAME [ARGUMENTS AS JSON]`; its files go to the working directory."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys

from benchmarks.workers.protocol import answer_requests, claim_stdout


def main() -> None:
    """Import the side, start it, and answer requests until the parent closes the pipe."""
    replies = claim_stdout()
    worker = importlib.import_module(f"benchmarks.workers.{sys.argv[1]}")
    arguments = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    asyncio.run(answer_requests(worker.side(**arguments), replies))


main()
