"""Reports on a scored corpus: its numbers as tables, its figures, the page, and the paragraph for the paper."""
