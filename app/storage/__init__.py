"""Redis client, keys, scripts and leases; private files."""
