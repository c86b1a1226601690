"""A rendered egocentric scene with two moving hands and exact truth."""
