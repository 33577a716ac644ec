"""Groups of the owners of sockets, by which the document tells processes apart. No I/O."""
