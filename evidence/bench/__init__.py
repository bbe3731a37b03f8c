"""How fast and how cheap the dispatcher is, measured against something in the same run."""
