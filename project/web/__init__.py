"""Request handling that every resource shares."""
