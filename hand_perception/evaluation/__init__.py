"""How far results are from the truth."""
