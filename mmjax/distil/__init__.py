"""Distillation: a run that learns from another run's answers, chosen by `config.distil`: see `options.Distil`."""
