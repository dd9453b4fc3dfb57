"""The companies that the examples call: real HTTP servers that fail on demand.

Nothing here uses the framework: these are somebody else's systems. Each runs as a process of its own:

    python -m examples.providers                 # all four, on their usual ports
    python -m examples.providers payments        # one of them

* `desks`: what each company does with a request (reserve, confirm, charge, ...).
* `ledger`: what it remembers, in memory or in a small file.
* `faults`: how it misbehaves, when told to.
* `provider`: one request from arrival to answer, without any I/O.
* `server`: the same over HTTP.
"""
