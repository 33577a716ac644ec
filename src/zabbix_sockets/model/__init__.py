"""What the readers' words mean: values, and what is done with nothing but them; no I/O."""
