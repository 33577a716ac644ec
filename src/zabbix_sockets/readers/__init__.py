"""The kernel's words, turned into plain tuples.

Each reader is I/O plus a pure decoder and knows nothing of the others.
"""
