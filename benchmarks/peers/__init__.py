"""The same API in other frameworks, written as each one's documentation teaches."""
