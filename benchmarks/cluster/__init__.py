"""Bookings and counters on a Restate cluster whose nodes are killed in turn; afterwards everything must add up.

`python -m benchmarks.cluster --seconds 120` runs it; `tests/acceptance/test_cluster.py` runs a short one, and
`tests/acceptance/test_killed_services.py` one where only the services are killed.

    services  what is called: the trip booking of the examples, and counters
    failover  a caller that goes on at another node when its own dies
    load      workers that ask, one request after the other, and what they were told
    trouble   what goes wrong on purpose: killed nodes, killed services, providers that refuse or lose answers
    ledgers   what the providers saw and have, by trip
    check     compares what was told with what is there
    run       one run, and its report
"""
