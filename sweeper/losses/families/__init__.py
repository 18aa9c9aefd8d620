"""The losses themselves, a folder for each level: a function and its row of the catalogue in one file."""
