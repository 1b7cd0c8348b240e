"""What is measured on a deployed detector, one file each: `accuracy` (COCO mAP of any routing; `matching` and `pool`
are its fast half and `results` the file others can check it with), `cost` (FLOPs and parameters of the path each exit
takes) and `latency` (milliseconds, with the contenders interleaved)."""
