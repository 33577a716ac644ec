"""Names for the owners of sockets: what is told apart in the document. No I/O."""
