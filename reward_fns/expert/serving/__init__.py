"""Sending questions to a served model: one attempt, retries, limits."""
