"""Redis and files: the client, leases, and what keeps data private."""
