"""The collection of what fits a filter: chosen by the kernel as far as it can."""
