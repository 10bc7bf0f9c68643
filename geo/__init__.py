"""The kernel: pure functions on arrays and geometries; no web, database, settings, clock."""
