"""A recipe in TensorBoard: its results as runs made from receipts, and all its runs under names people know them by."""
