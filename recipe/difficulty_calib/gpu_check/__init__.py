"""What `examples/gpu_check.sh` needs beside this project's own commands: a
model, answers, a table.
"""
