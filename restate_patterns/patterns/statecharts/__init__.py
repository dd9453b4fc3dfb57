"""Statecharts of `python-statemachine` as virtual objects. Nothing here imports that library before it is used."""
