"""Memory and time of the 7B run by arithmetic: python -m
recipe.difficulty_calib.scale > SCALE.md.
"""
