"""Many users at once: sample data, import and export."""
