"""Choosing policies (search, learned, reinforced, bandit, risk) and judging them (controls, oracle, AUROC, alarms)."""
