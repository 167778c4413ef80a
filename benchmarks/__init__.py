"""Measure the cost of a request in this service and in comparable ones."""
