"""Hydra overlays on verl's own configuration."""
