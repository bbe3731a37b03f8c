"""The command line of the integration dispatcher."""
