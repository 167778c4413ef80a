"""The history of users: who added, updated and removed them, and when."""

from project.api.users.history.entries import (
    is_enabled,
    read,
    record_as,
    record_transaction_as,
)

__all__ = ["is_enabled", "read", "record_as", "record_transaction_as"]
