"""Other systems' interfaces on the wire: what their unmodified clients speak."""
