"""Where finished trials go: a durable journal first, then MLflow, carried by a courier."""
