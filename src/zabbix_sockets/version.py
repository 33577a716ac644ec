"""The version of the package, as distributions have it (PEP 440)."""

__version__ = "0.2.0"
