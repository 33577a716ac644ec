"""Values of sockets, processes and names, and what is done with nothing but them; no I/O."""
