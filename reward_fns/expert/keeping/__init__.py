"""Verdicts on disk: the cache, its entries, replay."""
