"""Every bound of the framework, by name and with its unit."""

from __future__ import annotations

from typing import Final

DRAIN_CALLBACKS_MAX: Final = 200_000
"""Callbacks an attempt may run without going idle before it counts as spinning."""

CANCEL_REDELIVERIES_MAX: Final = 16
"""Times anyio may redeliver a cancellation for each completion that is delivered."""

PLAIN_DEPTH_MAX: Final = 100
"""Lists and dictionaries inside each other that are taken for readable unseen; JSON is read to 200."""

THREADS_MAX: Final = 40
"""Synchronous actions of steps that run at the same time in threads."""

THREAD_STOP_WARNING_S: Final = 10.0
"""After how long a thread that was asked to stop, and can't be, is named in the log."""

BODY_BYTES_MAX: Final = 10 * 1024 * 1024
"""Largest body of a request over HTTP."""

BODY_IDLE_S: Final = 30.0
"""How long a body may bring no byte, and how long it may be slower than the rate, until its request is a 408."""

BODY_RATE_BYTES_S_MIN: Final = 1024
"""Bytes a second that a body must bring on the average once it has lasted longer than that."""

BODY_DISCARD_BYTES_MAX: Final = 4 * BODY_BYTES_MAX
"""How much of a body that is refused is taken anyway, so that its sender gets to see the answer."""

BODY_DISCARD_S: Final = 10.0
"""How long it is taken."""

REQUEST_HEAD_S: Final = 30.0
"""How long a connection of HTTP/1.1 that has begun a request may take to send its headers."""

WAITING_CALLERS_MAX: Final = 20_000
"""Callers that may wait for answers at a port, of HTTP/1.1 and of HTTP/2 each; fewer where descriptors are few."""

DESCRIPTORS_MAX: Final = 65_536
"""Open files that a server asks the system for, and connections it counts on, at most."""

DESCRIPTORS_RESERVED: Final = 256
"""Open files that connections leave to the engine and to handlers; a quarter of all where there are few."""
VALUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Largest value that is stored: an argument, a result, a state, an answer. SQLite's own end is at 10^9 bytes."""

GZIP_MEMBERS_MAX: Final = 16
"""Members that a compressed body may have one after the other; empty ones cost much and unpack to nothing."""

JSON_COMPARED_BYTES_MAX: Final = 64 * 1024
"""Largest argument that is compared as JSON with that of an earlier request; larger ones are compared byte by byte."""

VALUE_BYTES_WARNING: Final = 8 * 1024 * 1024
"""Size from which a value is warned of: it is read and written whole each time, and the limit is near."""

VALUES_WARNED_MAX: Final = 1_000
"""Places of large values that a process remembers to have warned of."""

JOURNAL_COMMANDS_WARNING: Final = 10_000
"""Operations of one invocation after which its journal is warned of, and again at each doubling."""

COMMANDS_BYTES_MAX: Final = 128 * 1024 * 1024
"""What a handler may ask for between two waits, with the values it reads there: it is one entry of the journal."""

TEXT_CHARS_MAX: Final = 1024 * 1024
"""Longest key, name, idempotency key or id, and all headers of a request together."""

FAILURE_CHARS_MAX: Final = 8 * 1024 * 1024
"""Longest sentence of a terminal error, and all its fields together; a character takes up to twelve bytes."""

ERROR_CHARS_MAX: Final = 64 * 1024
"""How much is kept of what an error says that is retried or pauses."""

FAILURE_CODE_MAX: Final = 65_535
"""Largest code of a terminal error: what a Restate server has room for."""

SHOWN_CHARS_MAX: Final = 60
"""How much of a wrong value is shown in the sentence about it."""

PATHS_KNOWN_MAX: Final = 1_000
"""Paths of handlers without a key that are not read again with each request."""

ASKERS_KNOWN_MAX: Final = 1_000
"""Kinds of requests (host, origin, browser, type) that were let through and are not looked at again."""

SHUTDOWN_GRACE_S: Final = 10.0
"""How long a server that was told to stop may take until it has left; running requests may finish in it."""

ENGINE_GRACE_S: Final = 3.0
"""Of that, what is kept for its engine: for steps to stop, and for the disk."""

STOP_GRACE_S: Final = 5.0
"""How long an engine that stops waits for actions it has cancelled (threads can't be stopped) and for its disk."""

LOG_GRACE_S: Final = 1.0
"""Of that, what is kept for a disk that is full or slow; what was answered is in the file anyhow."""

TASKS_GRACE_S: Final = 0.5
"""How long a server that leaves waits for tasks that are no concern of its engine."""

LOOP_LOOK_S: Final = 1.0
"""How often a thread that waits for an event loop looks whether the loop still runs."""

LEFTOVER_LOOK_S: Final = 0.5
"""How often an engine looks whether an action that outlived an earlier engine still runs: its loop may have ended."""

STORE_CACHE_KIB: Final = 32 * 1024
"""SQLite's page cache of each connection."""

DISK_RESERVE_BYTES: Final = 8 * 1024 * 1024
"""Disk held back beside the file, given free when the disk is full so that accepted work can finish."""

DISK_PROBE_BYTES: Final = 64 * 1024
"""Disk asked for beyond the reserve, to tell a disk that is full from one that is broken."""

DISK_PROBE_MS: Final = 1_000
"""How often an engine that refuses new work for want of room looks whether there is some."""

OWNER_WAIT_S: Final = 0.3
"""How long a start waits for the owner of its file to go: a process that was killed lets go a moment later."""

FILE_LOOK_S: Final = 1.0
"""How often an engine looks whether its file is still where it was opened."""

FLUSH_PUT_OFF_MAX: Final = 2
"""Turns of the loop for which a batch waits for invocations that are about to advance."""

COMMIT_HERE_MS_MAX: Final = 0.5
"""How long commits may take for the event loop to make them itself while there is one invocation alone."""

COMMIT_RETRY_MS: Final = 250
"""Wait before a batch that could not be written is tried again."""

CLOCK_GAP_WARNING_MS: Final = 1_000
"""How far the wall clock may be behind, or jump, before that is worth a warning."""

CLOCK_LOOK_MS: Final = 1_000
"""How often a machine's two clocks are compared: what is due after a sleep or a set clock is at most so late."""

CLOCK_MOVED_MS: Final = 50
"""How far two clocks must move apart to count as moved; less is the time between two readings."""

DELAY_SLACK_MS: Final = 500
"""How old a reading of the clock may be for a delay on a Restate server to count from now and not from it."""

INACTIVITY_TIMEOUT_MS: Final = 60_000
"""How long an idle invocation stays in memory by default."""

IDLE_ATTEMPTS_MAX: Final = 5_000
"""Idle attempts kept in memory; over that the one idle longest suspends early."""

RETENTION_MS: Final = 24 * 60 * 60 * 1000
"""How long results and workflows stay readable by default."""

KEYS_CACHED_MAX: Final = 10_000
"""Keys whose state and queue stay in memory when nobody uses them."""

TIMERS_LOADED_MAX: Final = 10_000
"""Timers read from the file at a time; twice as many are kept in memory at most."""

ADVANCES_MAX: Final = 32
"""Invocations the engine advances before it lets the loop do other work."""

RETENTION_INTERVAL_MS: Final = 60_000
"""How often expired results are looked for."""

RETENTION_PAUSE_MS: Final = 50
"""Wait before the next removals while there is more to remove than fits one go."""

RETENTION_LIMIT: Final = 500
"""Expired results removed in one go, so that removal never holds up traffic."""

DEADLOCK_NODES_MAX: Final = 10_000
"""Invocations looked at in one search for a deadlock."""

LIST_LIMIT_MAX: Final = 1_000
"""Invocations given in one listing."""

PARTIAL_IDS_MAX: Final = 20_000
"""Invocations, the newest ones, among which one is looked for by a part of its id."""

SETTLE_TIMEOUT_S: Final = 60.0
"""How long a test waits, in real time, for an app to settle."""

STILL_LOOK_S: Final = 0.05
"""How often, in real time, a test's waits are looked at: whether anything can end them."""

STILL_LOOKS_MIN: Final = 3
"""Looks in a row that find nothing moving, before a wait is told that it has no end."""

CRASH_POINTS_MAX: Final = 10_000
"""Crash points of one test."""

JOURNAL_WINDOW_BYTES: Final = 128 * 1024 * 1024
"""What a Restate server may have sent on one connection and handlers not read.

It sends a journal as one small frame for each entry, and a frame costs about 256 bytes of half of this: a
quarter of a million entries. With the usual megabyte a journal of 2,500 entries broke the connection.
"""

SERVER_INSTALL_TIMEOUT_S: Final = 900.0
"""How long one download of the Restate server may take."""

SERVER_COMMAND_TIMEOUT_S: Final = 30.0
"""How long a Restate server may take to print its version."""

SERVER_START_TIMEOUT_S: Final = 60.0
"""How long a Restate server may take to answer, and a node to be back in its cluster."""

SERVER_STOP_TIMEOUT_S: Final = 10.0
"""How long a Restate server may take to leave after SIGTERM before it is killed."""

ADMIN_TIMEOUT_S: Final = 60.0
"""How long the admin client waits for one answer."""

PAUSE_S: Final = 10.0
"""How long an attempt that can't go on waits for the Restate server to take note that it is to be paused."""

STATE_WRITE_WAIT_S: Final = 30.0
"""How long the admin client waits for a write of state to get its turn on a Restate server."""

STATE_WRITE_LOOK_S: Final = 0.05
"""Wait between two looks at a state whose write waits for its turn."""

KILLED_WITH_MAX: Final = 1_000
"""Invocations named at most when it is asked what goes down with one."""

JOURNAL_LISTED_MAX: Final = 200
"""Entries of a journal up to which a listing of a Restate server looks into it for what is waited for."""

QUERY_TRIES_MAX: Final = 50
"""Times a query is tried on a Restate server that has just started."""

QUERY_RETRY_S: Final = 0.1
"""Wait before such a query is tried again."""

SAID_INVOCATIONS_MAX: Final = 10_000
"""Invocations of which a process remembers what they have logged since the last entry of their journal."""

SAID_LINES_MAX: Final = 1_000
"""Lines that it remembers of each; what an attempt logs beyond them is logged by the next one too."""

FAILURE_LINES_AT_ONCE: Final = 5
"""Failed tries of one kind (handler, step, class of error) that are logged one after the other."""

FAILURE_LINE_EVERY_MS: Final = 10_000
"""After them, how often one more is; it says how many there were meanwhile."""

FAILURE_FORGOTTEN_MS: Final = 600_000
"""A kind of failure that was not seen for so long is logged with its traceback again."""

FAILURE_KINDS_MAX: Final = 1_000
"""Kinds of failures that a process remembers to have logged."""

MACHINE_HISTORY_COUNT: Final = 32
"""Changes that a state machine remembers per key unless it says otherwise; they are written anew at each change."""

MOVE_STATE_KEYS: Final = 1_000
"""Keys whose state is carried to a server before the file notes how far it is."""

MOVE_STATE_BYTES: Final = 8 * 1024 * 1024
"""Likewise: bytes of state; a key that has more goes alone."""

MOVE_SENDS: Final = 500
"""Sends that are carried before the file notes which."""

MOVE_REQUESTS_MAX: Final = 16
"""Requests to the server at a time while a file moves; more made it slower."""

MOVE_TRIES_MAX: Final = 6
"""Times a write of state is sent to a server that does not answer."""

RESTATE_STATE_BYTES_MAX: Final = 2 * 1024 * 1024
"""Largest request that a Restate server takes to write the state of one key (1.7 answers 413 above it)."""

RESTATE_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""Largest body of a send that a Restate server was seen to take as it comes (1.7 breaks the connection at 40 MiB)."""

SCHEDULE_EVERY_MS_MIN: Final = 10
"""Shortest interval of a schedule: a tick takes a few invocations."""

SCHEDULE_LATE_MS: Final = 60_000
"""How late a tick may come that is not missed: a restart takes its time."""

SCHEDULE_MADE_UP_MAX: Final = 100
"""Missed ticks that are made up at most, the latest ones, and that are counted."""

SCHEDULE_QUEUE_MAX: Final = 1_000
"""Runs that wait for the end of another at most; so many a backfill may add."""

SCHEDULE_RUNS_KEPT: Final = 10
"""Runs that a schedule remembers; they are written anew at each tick."""

SCHEDULE_LOOK_MS: Final = 24 * 60 * 60 * 1000
"""How often the next tick of a cron schedule is looked up anew: the rules of its time zone may have changed."""

SCHEDULE_YEARS_BEGIN_MS: Final = 946_684_800_000
"""From when a cron expression is asked whether it ever comes: the year 2000, whose leap day there is."""

SCHEDULE_DECLARE_S: Final = 10.0
"""How long a start waits for a schedule to take its declaration: it may be busy, or paused."""
