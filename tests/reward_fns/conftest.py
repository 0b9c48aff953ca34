from hypothesis import settings

# Two busy cores make single examples slow; what has to be fast is timed by tests of its own.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
