"""Experiments about early exits themselves.

`phases` replays the rounds that failed, `positions` asks where exits pay, `auxiliary_losses` what makes a YOLOS learn,
and `probe` whether inner layers can detect at all. Each is a package with a run, a result, a report and a command,
found by name (registry.py).
"""
