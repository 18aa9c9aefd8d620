"""Which configuration costs least, by level and by what a miss costs."""
