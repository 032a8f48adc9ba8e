"""A gallery as rows of tables: what SQLite and PostgreSQL do alike, written once."""
