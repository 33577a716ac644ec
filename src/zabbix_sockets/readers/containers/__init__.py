"""The files of container runtimes: what their containers are called."""
