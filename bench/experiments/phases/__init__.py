"""Nine failed rounds of training early exits, replayed, and asked whether the alarms would have told."""
