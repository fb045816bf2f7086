"""What a training run costs before it runs: operations, memory, time, and how to fit it into less memory."""
