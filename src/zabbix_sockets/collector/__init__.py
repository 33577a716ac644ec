"""Collection of sockets by the readers: a Snapshot of all, or every single socket."""
