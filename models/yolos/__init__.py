"""YOLOS, a vision transformer that detects, as a chain of stages."""
