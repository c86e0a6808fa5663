"""`mastery up`: the supervisor, and the servers and processes that it runs."""
