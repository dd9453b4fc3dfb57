"""Engines, backends and attempts in the test's own process."""
