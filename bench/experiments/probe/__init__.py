"""Can inner layers detect at all?

Three experiments say so before any long training: where attention lies, whether tokens of objects can be told from the
background, and what one linear layer makes of them.
"""
