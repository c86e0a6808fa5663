"""Exit codes of the commands, besides 0 for success and click's 2 for wrong usage."""

FAILED = 1  # the command failed, or found something wrong
NO_SUCH_TENANT = 3  # the engine has no data of this tenant
# How a batch ended, for `mastery batch watch`
BATCH_PARTLY_FAILED = 4
BATCH_FAILED = 5
BATCH_CANCELLED = 6
BATCH_EXPIRED = 7
INTERRUPTED = 130  # by Ctrl-C: 128 + SIGINT, as in shells
