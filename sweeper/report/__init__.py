"""Reports: tidy tables in; an answer in words, tables, charts and one self-contained page out."""
