"""The ``mastery`` command."""
