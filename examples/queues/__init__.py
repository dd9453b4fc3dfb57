"""Work for later, and work in parallel."""
