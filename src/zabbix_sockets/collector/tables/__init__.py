"""Collection by the socket tables of netlink or /proc/net; the owners are read from elsewhere."""
