"""The delivery protocol: the transitions of a message row, and the one loop that writes it."""
