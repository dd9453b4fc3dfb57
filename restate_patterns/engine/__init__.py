"""What an engine or backend is to those above it: the interface of one, and its errors."""
