"""Converters into the COCO folder that `coco:DIR` reads.

One file per format reads labels and image sizes into a `Converted` without writing anything; `write` puts that on disk;
`commands` is `bench data convert`.
"""
