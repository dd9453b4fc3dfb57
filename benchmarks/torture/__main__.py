"""`python -m benchmarks.torture --kills 1000 [--seed N] [--users N] [--keep DIR]`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.torture.run import USERS, torture


def main() -> int:
    """Run it, print what happened, and return 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how often the server is killed (default: 50)")
    parser.add_argument("--seed", type=int, default=1, help="makes the load and the moments of the kills")
    parser.add_argument("--users", type=int, default=USERS, help="operations that are open at a time")
    parser.add_argument("--keep", type=Path, help="keep the files in this directory")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True)
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="torture-"))
    report = asyncio.run(torture(directory, kills=arguments.kills, seed=arguments.seed, users=arguments.users))
    print(report.summary())
    if report.wrong:
        print(f"the files are in {directory}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
