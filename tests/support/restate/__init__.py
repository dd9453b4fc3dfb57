"""Real Restate servers, and what is registered with them."""
