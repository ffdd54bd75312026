"""Systems that speak, and the one that hears what they say."""
