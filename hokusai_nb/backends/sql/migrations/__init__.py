"""The migrations, one module each, run by `hokusai_nb.backends.sql.migrating`."""
