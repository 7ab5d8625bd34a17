"""The routes: each parses, calls and answers with a record; none decides anything."""
