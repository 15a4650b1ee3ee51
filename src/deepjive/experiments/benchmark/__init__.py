"""Digits over varying backgrounds: three to five views, with DeepJIVE, baselines and methods of other packages."""
