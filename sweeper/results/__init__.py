"""Results of a study: two tidy tables, from recorded trials, Parquet or MLflow."""
