"""Search: a recipe's `search:` section, its trials as recipes, and the table of what became of them. No Ray, no torch."""
