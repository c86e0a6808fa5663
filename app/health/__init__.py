"""Is the engine fit to work? Each dependency brings its own ping."""
