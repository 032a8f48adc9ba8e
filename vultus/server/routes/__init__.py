"""The native API's routes, one file per subject."""
