"""Requests byte by byte, and what they are sent to."""
