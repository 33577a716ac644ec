"""Tables for people: in a terminal, at once or again and again."""
