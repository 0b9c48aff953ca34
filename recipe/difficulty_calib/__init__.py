"""Difficulty-guided confidence calibration on stock verl: a plugin, a trainer, a reward
manager and Hydra overlays.
"""
