"""`python -m benchmarks.cluster [--seconds N] [--kill-services] [--nodes N] [--seed N] [--keep DIR] [--json]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from benchmarks.cluster.run import Plan, run
from benchmarks.sides import SERVER_DIR
from restate_patterns.server import install


def main() -> int:
    """Run it, print what happened, and return 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long the load lasts (default: 120)")
    parser.add_argument("--kill-services", action="store_true", help="kill the process of the services, too")
    parser.add_argument("--nodes", type=int, default=3, help="how many nodes the cluster has (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="makes the load and the moments of the kills")
    parser.add_argument("--keep", type=Path, help="keep the files in this directory")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True)
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="cluster-"))
    plan = Plan(
        binary=install(SERVER_DIR),
        nodes=arguments.nodes,
        seconds=arguments.seconds,
        kill_nodes=arguments.nodes > 1,
        kill_services=arguments.kill_services,
        seed=arguments.seed,
    )
    report = asyncio.run(run(plan, directory, lambda line: print(line, file=sys.stderr, flush=True)))
    print(json.dumps(report.as_json(), indent=2) if arguments.json else report.summary())
    if report.wrong:
        print(f"the files are in {directory}", file=sys.stderr)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
