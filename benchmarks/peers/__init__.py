"""The peers: the same API, each written as its own documentation teaches."""
