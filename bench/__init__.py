"""The harness: data in, candidates measured, records, a table and a verdict out. It knows a detector only as a chain
of stages. Start reading at pipeline.py."""
