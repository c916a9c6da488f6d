"""One file a method: `class Config(MethodConfig)` with its choices, and `plan(world, config)`."""
