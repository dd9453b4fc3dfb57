"""The process that is killed, and the one it is forked from: `python -m benchmarks.torture.server FILE PORT PORT`.

The parent has imported everything and runs nothing; each server is a fork of it. So a start costs what the
engine's start costs, and a run has many kills. One command a line on standard input, one line for an answer:

    start BOOT    fork a server; the answer is its process id
    poll          the answer is empty while it runs, then how it ended
    wait          the same, once it has ended
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from benchmarks.processes import die_with_parent
from benchmarks.torture.effects import BOOT_VARIABLE
from benchmarks.torture.services import app
from restate_patterns import Embedded


def serve(boot: str) -> NoReturn:
    """Be a server until killed or stopped."""
    die_with_parent()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.environ[BOOT_VARIABLE] = boot
    file, ingress_port, admin_port = sys.argv[1:]
    try:
        app.serve(Embedded(file, ingress_port=int(ingress_port), admin_port=int(admin_port)))
    except BaseException:  # noqa: BLE001  a fork must never return to its parent's loop
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def main() -> None:
    """Fork servers until standard input ends."""
    process_id, ended = 0, "never started"
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "start":
            process_id, ended = os.fork(), ""
            if not process_id:
                serve(*arguments)
            answer = str(process_id)
        else:
            if not ended:
                found, status = os.waitpid(process_id, os.WNOHANG if command == "poll" else 0)
                ended = f"exit status {os.waitstatus_to_exitcode(status)}" if found else ""
            answer = ended
        print(answer, flush=True)


if __name__ == "__main__":
    main()
