"""What may stand somewhere: domains and their candidates, as plain frozen data.

`model` has the kinds of domains and prints them; `ranges` reads their numbers, `labels` names their
candidates. Nothing here knows of comments or of code around a choice, so every other group may import it.

The law, in `tests/grammar`: a domain equals what is read of its print.
"""
