"""Examples of schedules."""
