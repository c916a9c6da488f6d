"""Tests of what is measured; scores and PGR themselves are in tests/w2s/test_metrics.py."""
