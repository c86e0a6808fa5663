"""Proof by fault: processes are killed while real events stream, and afterwards nothing is lost and nothing counted twice."""
