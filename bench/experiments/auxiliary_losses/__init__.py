"""What makes a small YOLOS learn: training losses beside those of its exits, one by one."""
