"""Images and what is in them: three splits per dataset (train, val, test), disjoint by content and hashed.

`spec.load` is the door: it opens the embedded `shapes`, a COCO folder or a TOML file of your own.
"""
