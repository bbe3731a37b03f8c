"""The shared resolver layer: rules, use cases, tables, queues and the two edges (HTTP and queue).

Imports point one way: ``http | queue`` -> ``wiring`` -> ``adapters`` -> ``usecases`` -> ``ports``
-> the pure rules.
"""

VERSION = "1.0.0"
