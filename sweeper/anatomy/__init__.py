"""How losses behave, without training: what they charge for which error, and where their gradient goes."""
