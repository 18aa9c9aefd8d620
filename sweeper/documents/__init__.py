"""Text files of plain data that people and strangers write: YAML and JSON, read with bounds and without surprises."""
