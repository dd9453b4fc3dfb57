"""The sides of the comparisons: each is a process of its own that measures when it is asked to.

A worker is a module with `run(work)`, started as `python -m benchmarks.workers NAME`. It reads one JSON
request a line and answers each with one JSON line, so that sides can be started together and measured in turn.
"""
