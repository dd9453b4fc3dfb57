"""Handler programs as values, and charts and machines drawn at random."""
