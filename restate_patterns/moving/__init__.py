"""Carries what is in an embedded file to a Restate server, whole or not at all.

`plan` decides in pure code, `destination` speaks to the server, `mover` does it and can be broken off.
"""
