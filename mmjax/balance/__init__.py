"""Remedies for a modality that training leans on, chosen by `config.balance`: see `options.Balance`."""
