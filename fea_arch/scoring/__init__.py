"""The catalogue of situations and the score."""
