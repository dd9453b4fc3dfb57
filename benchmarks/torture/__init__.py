"""A server under load that is killed with SIGKILL again and again; afterwards everything must add up.

`python -m benchmarks.torture --kills 1000` runs it; `tests/acceptance/test_torture.py` runs a short one.

    plan      what is asked of the server, from a seed, and what must come out (the model)
    services  the services under load
    server    the process that is killed
    effects   the file outside the server that every step writes to
    driver    asks, and asks again until it is answered
    killer    starts and kills the server
    check     compares what happened with the model
"""
