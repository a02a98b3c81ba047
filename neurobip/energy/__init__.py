"""Operation counts from real activity, and joules from named tables."""
