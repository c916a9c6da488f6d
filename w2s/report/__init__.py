"""Receipts in, tables out."""
