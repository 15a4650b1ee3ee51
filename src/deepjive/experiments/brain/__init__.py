"""MRI and PET of a cohort, or of a phantom with known parts."""
