"""What works on this host, and what to do about what doesn't: a line for each thing."""
