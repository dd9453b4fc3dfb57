"""What tests of services stand on: a clock that they drive, crashes, and an engine in memory."""
