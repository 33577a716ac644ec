"""The collection by tables: of netlink or /proc/net, with owners from elsewhere."""
