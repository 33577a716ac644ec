"""Collection by the BPF iterator, and from netlink of the sockets that it does not see."""
