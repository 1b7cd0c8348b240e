"""Experiments about early exits themselves: the rounds that failed (`phases`), where exits pay (`positions`), what
makes a YOLOS learn (`auxiliary_losses`), and whether inner layers can detect at all (`probe`). Each is a package with a
run, a result, a report and a command, found by name (registry.py)."""
