"""One file a task: `class Config(TaskConfig)` with its choices, and `examples(config, split)`."""
