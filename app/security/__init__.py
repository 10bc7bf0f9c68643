"""Who asks, and may they: identities, secrets, and the middleware at the door. No SQL of the map."""
