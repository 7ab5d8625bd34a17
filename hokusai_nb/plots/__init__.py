"""Pictures of a lineage: data in, chart out; nothing here fetches or displays.

Altair is imported by the modules below and not by this one, so that only a drawing pays for it.
"""
