"""The only doors to the outside, one folder or module per outside system."""
