"""Statistics that hold: resampling, tests, verdicts, ranks, profiles. Arrays in, numbers out."""
