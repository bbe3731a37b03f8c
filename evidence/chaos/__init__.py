"""`make chaos`: the deployed stack under faults, crashes and bad receivers; then the reckoning."""
