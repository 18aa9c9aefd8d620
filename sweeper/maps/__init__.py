"""Target maps: what boundary and structural losses need of a mask's geometry, computed from the mask alone, once."""
