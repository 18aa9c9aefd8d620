"""From frames and charts to files: type, escaping, figures, templates."""
