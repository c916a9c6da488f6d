"""What a search shows: TensorBoard files and a page, made anew from the trial table as often as anyone likes."""
