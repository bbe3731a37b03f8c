"""What the service does, one module per concern.

Plain classes over ports: no AWS, no environment, no clock of their own.
"""
