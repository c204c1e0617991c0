"""What algorithms share: history of outcomes, checks of hyperparameters, draws without replacement."""
