"""Takes annotations to a checkpoint: run as ``python -m training.NAME`` from a checkout."""
