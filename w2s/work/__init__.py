"""What runs on a worker: reads its inputs' folders, writes into its own."""
