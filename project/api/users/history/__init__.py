"""The history of users: who added, updated and removed them, and when."""
