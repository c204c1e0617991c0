"""What algorithms share: history of outcomes, draws without replacement."""
