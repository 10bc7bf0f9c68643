"""OGC API - Features and Tiles: what is on the map, for other people's tools."""
