"""Which exit answers which image: criteria, policies, the table of what every exit says, and the search on val."""
