"""The examples with their providers in the test's own process."""
