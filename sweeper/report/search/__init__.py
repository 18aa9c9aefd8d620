"""What the search saw: dials, their responses, fronts and importance, and its budget."""
