"""Adjustment of modalities before a model is fitted: transformation, confounds, and the scale of features.

Everything is learned from the fitted samples alone, inside `fit`, and is stored with the model. New samples are
adjusted with what was learned. Parts are returned with the effects of the confounds and without the scale of features:
in the units of the input, or of the transformation. Predictions are returned in the units of the input.
"""
