"""The vocabulary: tokens, metrics, values, tags, records and verbs; frozen, without I/O."""
