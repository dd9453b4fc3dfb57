"""Measures durable steps, requests, size and start-up against peers and limits, as ratios in one run.

Durable means on disk before it is acknowledged, on both sides of each ratio. The sides run at the same time
and are measured in turn. `setup` installs the Restate server that some rows compare with; the Python peers
come with `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.processes import ProcessError
from benchmarks.results import Result
from benchmarks.rows import ROWS
from benchmarks.rows.base import RowMissingError, Settings
from benchmarks.sides import SERVER_DIR
from benchmarks.table import print_json, print_table
from restate_patterns.server import ServerError, install

STORED_COUNT = 1_000_000


def parse() -> argparse.Namespace:
    """Read the command line."""
    rows = "\n".join(f"  {row.name:20}{row.what}" for row in ROWS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"rows:\n{rows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", choices=["run", "setup"], default="run")
    parser.add_argument("--only", action="append", metavar="ROW", choices=[row.name for row in ROWS], help="this row")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a sample (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of samples (default: 5)")
    parser.add_argument("--stored", type=int, default=STORED_COUNT, help="how many a million is (default: 1000000)")
    parser.add_argument("--stored-file", type=Path, help="keep the file with the stored invocations here")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def measure(settings: Settings, only: list[str] | None) -> tuple[list[Result], dict[str, str]]:
    """Measure the rows; give their results, and why the others could not be measured."""
    results: list[Result] = []
    missing: dict[str, str] = {}
    for row in ROWS:
        if only is None or row.name in only:
            with tempfile.TemporaryDirectory(dir=settings.directory) as directory:
                here = Path(directory)
                try:
                    results.append(row.measure(replace(settings, directory=here)))
                except (RowMissingError, ProcessError) as error:
                    missing[row.name] = str(error)
    return results, missing


def setup() -> int:
    """Install the Restate server; return 1 when that failed."""
    try:
        print(f"the Restate server is {install(SERVER_DIR, tell=print)}")
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Measure and print; return 1 when a row could not be measured."""
    arguments = parse()
    if arguments.command == "setup":
        return setup()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as directory:
        here = Path(directory)
        machine = describe(here)
        settings = Settings(
            directory=here,
            seconds=arguments.seconds,
            rounds=arguments.rounds,
            stored_count=arguments.stored,
            stored_file=arguments.stored_file or here / "stored.db",
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
        results, missing = measure(settings, arguments.only)
    (print_json if arguments.json else print_table)(machine, results, missing)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
