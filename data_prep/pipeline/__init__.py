"""Running the steps: configuration, context, manifest, step log, runner."""
