"""Exit codes of the commands, besides 0 for success and click's 2 for wrong usage."""

FAILED = 1  # the command failed, or found something wrong
NO_SUCH_TENANT = 3  # the engine has no data of this tenant
