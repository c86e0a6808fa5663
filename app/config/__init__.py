"""The settings: what the environment says, checked, and refused where it is unsafe."""
