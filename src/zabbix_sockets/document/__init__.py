"""The document: its rows, its head, what is made of it. No I/O."""
