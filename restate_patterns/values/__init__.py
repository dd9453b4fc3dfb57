"""Values and failures to bytes and back, and the checks that what comes back is what was given."""
