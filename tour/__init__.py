"""The tour: the programs of `programs/`, unmodified, on plain Python and on tress, in one table."""
