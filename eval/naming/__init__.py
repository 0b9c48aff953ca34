"""What models and protocols are called, in which order they stand, and what
a file may be called.
"""
