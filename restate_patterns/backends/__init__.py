"""Where an app can run: one file per backend."""
