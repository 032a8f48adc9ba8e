"""The face service: one process, real clients, each tenant with a gallery of its own."""
