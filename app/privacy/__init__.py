"""Privacy: what the engine holds of students, and how it is erased. Knows the stores only through protocols."""
