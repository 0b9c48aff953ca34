"""report.html: one file that needs no network, from the report's numbers, tables and records."""
