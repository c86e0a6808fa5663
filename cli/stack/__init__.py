"""`mastery up`: the supervisor, and the servers and programs that it runs."""
