"""Ready-made annotated models, one file each, written as a user would write them."""
