"""The database of tokens, events and API keys: SQLAlchemy and Alembic."""
