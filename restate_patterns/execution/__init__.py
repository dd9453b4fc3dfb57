"""Deterministic execution: one attempt of a handler on an event loop of its own.

* `attempt`: the attempt as its backend drives it, and the primitives that contexts stand on.
* `loop`, `tasks`, `timers`: the inner event loop, whose order is a function of the journal.
* `waits`: what tasks wait for; `steps`: actions of `ctx.run`, which run on the real loop.
* `boundary`: how an attempt ended; `closing`: how one is dropped; `places`: where tasks wait.
"""
