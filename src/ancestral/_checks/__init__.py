"""What callers hand over: containers, tables and their names, missing values, numbers."""
