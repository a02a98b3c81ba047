"""Export of a network as a folder that runs in Lava by itself."""
