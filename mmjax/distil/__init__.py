"""A run that learns from another run's answers, `config.distil`, or begins as its channels, `config.prune`."""
