"""Readers: from files and containers to arrays whose rows are samples.

No reader runs code that came with the data. Readers refuse pickled objects, links that lead out of a file, and sizes
that a file claims but cannot hold. Whatever error a damaged file causes in the library that reads it, the reader raises
one error that names the file. Optional libraries are imported where they are used.
"""
