"""Malformed annotations and their messages.

`mistake` is one, `form` and `meaning` are the tables of malformed examples, `catalogue` looks a message up.

The law, in `tests/grammar/mistakes`: every row of the tables gives its message.
"""
