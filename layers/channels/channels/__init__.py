"""The channels layer: one module per way to deliver, each with ``channel(environ, aws)``.

A module is imported on first use. ``guard`` and ``signature`` serve the webhook channel. Imports go
down to ``dispatcher``, which names no channel.
"""
