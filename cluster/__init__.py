"""Machines: keys, jobs, the store, the scheduler and its pools. Knows nothing of weak or strong; never imports w2s."""
