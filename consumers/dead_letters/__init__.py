"""The dead letter topic: writing, reading, replaying and purging it."""
