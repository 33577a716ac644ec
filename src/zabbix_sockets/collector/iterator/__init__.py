"""Collection by the BPF iterator, and otherwise of the sockets that it does not see."""
