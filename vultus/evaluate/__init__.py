"""How good is it? Protocols, metrics, calibration and reports on any data."""
