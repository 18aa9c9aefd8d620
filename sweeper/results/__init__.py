"""Results of a study: tidy tables, from recorded trials, Parquet or MLflow."""
