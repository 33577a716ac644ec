"""The collection by the BPF iterator: its records, and what it does not see."""
