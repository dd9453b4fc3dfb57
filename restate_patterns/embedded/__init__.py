"""The embedded engine: durable execution on one SQLite file, in process."""
