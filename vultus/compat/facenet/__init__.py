"""The commands of davidsandberg/facenet on vultus's own detectors and embedders.

Each module is one command; what its original does, and what ours does otherwise, says
``docs/migrating.md``. Nothing here prints: a command hands its lines to a `Talk`.
"""
