"""Faults on purpose: the real service on real PostgreSQL servers that fail."""
