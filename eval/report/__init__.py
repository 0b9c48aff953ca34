"""The report: its numbers, its page, its Markdown, and how they are written."""
