"""Sagas that cannot lose an undo.

`saga` is what handlers use; `stack` keeps what is owed, `unwinding` pays it; `actions` are the steps
forward; `desk` is where stuck sagas wait for a person; `record` is what a saga tells of itself and `diagram`
draws it; `locks` are semantic locks.
"""
