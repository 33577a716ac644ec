"""Collection of the sockets that match a filter, which the kernel applies as far as it can."""
