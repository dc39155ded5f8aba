"""Numbers -> names: frozen result objects."""
