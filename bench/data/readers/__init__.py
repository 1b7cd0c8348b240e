"""One file per layout in which annotation tools write their labels; each reads it into a `bench.data.found.Found`."""
