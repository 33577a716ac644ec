"""/proc: proc(5), the tables of sockets, processes, namespaces, and what a host counts."""
