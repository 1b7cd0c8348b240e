"""Images and what is in them: three splits per dataset (train, val, test) that are disjoint by content
and carry a hash. `spec.load` is the door: it opens the embedded `shapes`, a COCO folder or a TOML file of
your own."""
