"""The shared resolver layer: one room per capability, and the composition root that joins them.

Imports point one way: ``edges`` -> ``wiring`` -> ``adapters`` -> ``messages`` -> ``delivery`` ->
``configuration`` and ``access`` -> ``integrations`` -> the small modules.
"""

VERSION = "0.2.0"
