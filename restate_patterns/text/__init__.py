"""Text of others, and text about values, as it can be shown, logged and stored."""
