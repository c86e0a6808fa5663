"""The settings: read from the environment, validated, and rejected where unsafe."""
