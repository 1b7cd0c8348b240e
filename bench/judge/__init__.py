"""From records to an answer: the frontier, what early exit has to beat, the verdict, runs side by side."""
