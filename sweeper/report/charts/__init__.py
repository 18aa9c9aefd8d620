"""Charts of single sections, each from a tidy frame; a function returns the chart and draws nothing itself."""
