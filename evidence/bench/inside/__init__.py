"""Scripts that run in separate processes, where nothing of this package can be imported."""
