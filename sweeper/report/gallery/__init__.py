"""Pictures chosen by rule, and recovered curves over the true ones."""
