"""A process that has imported what stage one needs and forks a child for each command,
which can then be killed.

So a test that starts the pipeline many times does not pay for the imports each time. It reads a
JSON list of arguments of `python -m data_prep` from a line of stdin, and writes one line with the
child's pid; at its end another, with its exit status (negative: the signal) and the most memory
that it held, in MiB. WARM names the modules to import.
"""

import importlib
import json
import os
import sys

from data_prep.__main__ import main

for module in ("data_prep.pipeline.config", "matplotlib.pyplot", *os.environ["WARM"].split()):
    importlib.import_module(module)


def child(arguments):
    """One run, in the forked process."""
    sys.argv = ["data_prep", *arguments]
    with open(os.environ["RUN_LOG"], "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    status = main()
    sys.stdout.flush()
    os._exit(status)


print("ready", flush=True)
for line in sys.stdin:
    if (pid := os.fork()) == 0:
        child(json.loads(line))
    print(pid, flush=True)
    _, status, usage = os.wait4(pid, 0)
    print(os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024, flush=True)
