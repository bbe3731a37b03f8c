"""Scripts that run in processes of their own, where nothing of this package can be imported."""
