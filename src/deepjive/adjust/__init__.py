"""Adjustment of modalities before a model is fitted: confounds are taken out.

Everything is learned from the fitted samples alone, inside `fit`, and is stored with the model. New samples are
adjusted with what was learned, and parts are returned in the units of the input, with the effects of the confounds.
"""
