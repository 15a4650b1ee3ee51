"""Synthetic data with known parts."""
