"""What runs in the jail's processes: one program by itself (`main.py`), with the standard library and nothing else."""
