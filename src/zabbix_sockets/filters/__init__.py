"""The language of ss(8) for choosing sockets: parsed, compiled for the kernel, evaluated here.

Source: ss(8) and what ss of iproute2 6.1 does; include/uapi/linux/inet_diag.h and
net/ipv4/inet_diag.c for what the kernel decides. docs/filters.md has the language.
"""
