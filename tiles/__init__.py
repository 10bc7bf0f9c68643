"""Everything about map tiles."""
