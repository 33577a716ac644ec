"""What sets this installation up on its host, and takes that back."""
