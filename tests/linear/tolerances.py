"""Tolerances of the tests of linear models, with their reasons.

Comparisons without a tolerance use the defaults of numpy (1e-7) and pytest (1e-6), which are relative and far above
rounding errors.
"""

# Sums over about a hundred numbers of order 1, whose rounding errors are of order 1e-14.
SUMS = 1e-12

# The same scores, loadings or bounds by two orders of operations. Rounding errors of data of order 10 (1e-15) grow with
# the ratio of the largest to the smallest singular value that is used, up to about 1e4.
TWO_ROUTES = 1e-9

# Singular values and vectors by the Gram route, which resolves sqrt(n eps) of the largest value.
GRAM = 1e-6

# Scores after JIVE's alternation, which ends at changes of tol=1e-6 or less of the data's length.
ALTERNATION = 1e-5

# Cosines and correlations above this value mean angles below 8 degrees.
NEARLY_PARALLEL = 0.99
