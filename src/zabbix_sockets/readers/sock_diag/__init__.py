"""Reader of NETLINK_SOCK_DIAG (sock_diag(7)): the socket tables, as ss(8) asks for them."""
