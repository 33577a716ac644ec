"""BPF: the program in C, its objects, and who loads, pins and reads them."""
