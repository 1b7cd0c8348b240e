"""Pure numbers about detections and boxes, no runtime: matching, the pool that any routing is read off, COCO average
precision, F1 of each image, calibration."""
