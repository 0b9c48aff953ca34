"""What is looked at before anything is spent: the machine before the install, the
inputs before a training.

    python -m recipe.difficulty_calib.preflight
    python -m recipe.difficulty_calib.preflight --versions

The first prints a table of what is needed and what is here, the second the versions that a report
of a fault names.

`inputs` is what `train` calls. All else here is the standard library alone: it
runs before the install.
"""
