"""Failures of a PostgreSQL cluster under Patroni, and of the service on it."""
