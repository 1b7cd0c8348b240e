"""Training, the one way every strategy gets it: batches, the fit itself, features of what stays frozen in memory."""
