"""Views of a run's records: a table for the terminal, a plot, and exports for papers and spreadsheets."""
