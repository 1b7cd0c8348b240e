"""One file per way to make a detector cheaper, behind one protocol (base.py), found by name (registry.py)."""
