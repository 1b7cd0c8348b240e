"""One candidate's study: its policies chosen on val, everything measured, written down as records.

Also what the stored exit tables answer later without the model.
"""
