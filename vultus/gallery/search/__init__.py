"""The index in this process: exact scans, sign codes above their size, filters, recall."""
