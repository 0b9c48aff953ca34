"""What `python -m reward_fns.expert` runs."""
