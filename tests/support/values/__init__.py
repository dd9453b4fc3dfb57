"""Values and types of every kind."""
