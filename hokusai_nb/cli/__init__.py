"""The shell command `hokusai`: parses a line, calls a room, prints what comes back."""
