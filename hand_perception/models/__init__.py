"""Weights and maths: networks, hand model, pose fit."""
