"""The steps of stage one, one module a step, named as the step."""
