"""Route 53's health checkers: sixteen for each check of an endpoint, each with a phase and an opinion of its own."""
