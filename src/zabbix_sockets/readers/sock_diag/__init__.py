"""NETLINK_SOCK_DIAG: sock_diag(7), the tables as ss(8) asks for them."""
