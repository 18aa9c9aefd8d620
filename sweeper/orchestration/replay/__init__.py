"""Running one recorded trial again, without Ray, and saying whether it comes out as recorded."""
