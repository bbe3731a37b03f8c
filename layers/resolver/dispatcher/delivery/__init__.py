"""The delivery protocol: what a message row can become, and the one loop that writes it."""
