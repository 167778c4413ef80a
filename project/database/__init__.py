"""The connection to PostgreSQL: engines, error messages, migrations."""
