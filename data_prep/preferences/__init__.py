"""Preferences: published sets and stage one's pairs as one record (`verl_rows.preference`)."""
