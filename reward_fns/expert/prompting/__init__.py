"""What a judge is shown, and how its reply is read."""
