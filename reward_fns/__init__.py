"""The difficulty-guided reward (Algorithm 1), usable anywhere: no torch, no verl, nothing
of the other packages.
"""
