"""What is measured on a deployed detector, one file each.

The exit table (`exit_table`, kept by `store`), latency with the contenders interleaved (`latency`), throughput in
batches (`throughput`), the costs of all paths (`path_costs`), agreement with eager PyTorch (`parity`), policies
executed for real (`execution`), and FLOPs (`flops`).
"""
