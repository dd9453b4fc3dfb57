"""A shop that reports on each of its days, in the night after it, once, in the time of the shop.

    python -m examples.queues.nightly_report

Then sell something, and do not wait for the night:

    curl -X POST localhost:8080/Books/$(date +%F)/sell -H 'content-type: application/json' -d '1250'
    restate-patterns schedules list
    restate-patterns schedules trigger nightly-report
    curl localhost:8080/Archive/shop/read

Read `report` first; `books` is what it is made of.
"""

from __future__ import annotations

from datetime import timedelta

from examples.queues.nightly_report.books import Archive, Books
from examples.queues.nightly_report.report import Reports
from restate_patterns import App, Schedule

# --8<-- [start:schedules]
nightly = Schedule(
    "nightly-report",
    cron="30 2 * * *",
    zone="Europe/Berlin",
    to=Reports.of_yesterday,
    overlap="queue",  # no two at a time, and no night is left out
    missed="all",  # after a long stop, a report for each night
)
tidying = Schedule("tidy-archive", every=timedelta(days=7), to=Archive.tidy, key="shop", payload=31)
# --8<-- [end:schedules]

app = App([Books(), Archive(), Reports(), nightly, tidying], name="nightly-report")
