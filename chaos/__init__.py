"""Fault injection: run the service under load and break what it depends on."""
