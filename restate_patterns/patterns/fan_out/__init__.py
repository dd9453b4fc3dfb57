"""Doing something with many items at a time: so many in a window, and what becomes of the rest when one fails."""
