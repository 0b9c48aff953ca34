"""Tables as data, and the report's tables."""
