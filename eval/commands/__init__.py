"""The commands of `python -m eval`, one module each: `add_parser` declares the
options, `run` does the work.
"""
