"""Steps `own` and `targets`: confidences for SFT from what the model already knows
of each of its answers.
"""
