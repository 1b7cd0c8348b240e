"""Detection accuracy, as pure numbers that need no runtime.

Matching with the ground truth, the pool of all exits, COCO average precision, F1 per image and calibration.
"""
