"""System defaults, overrides, the effective configuration, and the health of what it names."""
