"""The map of who talks to whom, drawn from what hosts tell: `provision map`."""
