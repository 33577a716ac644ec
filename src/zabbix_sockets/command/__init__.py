"""The command: arguments in, one call at a time, one answer out."""
