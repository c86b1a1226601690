"""Recorded hands on disk: FPHA and H2O as they are published, cut into clips for training."""
