"""One file a loss: `class Config(LossConfig)` with its numbers, and `loss(...)`."""
