"""The difficulty-guided reward (Algorithm 1): response format, coefficients, expert, scoring, verl adapter. No torch, no verl."""
