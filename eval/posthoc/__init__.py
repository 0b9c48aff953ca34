"""Post-hoc calibration: a map from a protocol's confidences to verdicts, fitted on
other questions (`fit`).
"""
