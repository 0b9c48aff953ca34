"""Hallucination benchmarks: Object HalBench, MMHal-Bench, POPE, AMBER, and what a
confidence is worth on them.

`README.md` says what each number means and where a user gets each benchmark's files.
"""
