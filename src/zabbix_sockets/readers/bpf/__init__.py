"""Reader of BPF iterators: the program in C, its compiled objects, loader, pins and records."""
