"""Export to the HDF5 files of lava-dl netx."""
