"""Pictures: every function returns a matplotlib Figure and touches no global state."""
