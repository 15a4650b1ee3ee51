"""Readers: from the files and containers that users have to arrays whose rows are samples.

Nothing here runs code that came with the data: no pickle, no links out of a file, no size that a file only claims.
Whatever a damaged file makes the library that reads it do, one error comes out that names the file. Optional
libraries are imported where they are used.
"""
