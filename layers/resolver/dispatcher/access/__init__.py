"""Who a caller is, and what a caller may do."""
