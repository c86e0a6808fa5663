"""What a command's exit code says, beside 0 for success; click's own is 2, for a command that is typed wrong."""

FAILED = 1  # what was asked for was not done, or something is wrong
NO_SUCH_TENANT = 3  # nothing is known of it: misspelt, perhaps
