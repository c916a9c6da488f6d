"""What pages for people have in common, whatever they tell: a frame and its colours, charts, receipts read once."""
