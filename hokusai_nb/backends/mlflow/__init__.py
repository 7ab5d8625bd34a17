"""MLflow: one shared client per store, and what the core asks of it."""
