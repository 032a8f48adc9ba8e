"""One module per benchmark: its data reader and its official rules."""
