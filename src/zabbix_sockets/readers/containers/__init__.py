"""Reader of the files of container runtimes, for the names of their containers."""
