"""What ties a model to the Hokusai site: token status, events, their delivery."""
