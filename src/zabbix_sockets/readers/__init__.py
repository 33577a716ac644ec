"""Readers of the kernel's interfaces and of other programs' files: bytes into plain values.

Each is I/O plus a pure decoder, and knows nothing of the readers of other interfaces.
"""
