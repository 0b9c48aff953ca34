"""Stage one: from questions about images to difficulty, labelled pairs, SFT data and verl parquet.

Two leaves of this package are public to the evaluation, which needs the same things:
`engines` (a model behind one interface) and `questions` (the parquet rows). Neither imports
anything else of the package.
"""
