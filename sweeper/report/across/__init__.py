"""Several studies beside each other: what differs in how they were made, then their scores and ranks."""
