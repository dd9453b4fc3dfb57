"""What makes set-up and pages."""
