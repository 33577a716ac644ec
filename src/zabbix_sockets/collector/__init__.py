"""From readers to the model: a Snapshot of everything, or every single socket."""
