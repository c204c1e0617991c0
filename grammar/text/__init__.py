"""Annotations as text: comments, passages, the parser.

To read in this order: `comments` (which comments are annotations), `passage` (their text, with places),
`annotation` (the parser, over `grammar/annotation.lark`), `parse_python`.

The law, in `tests/grammar/text`: what is printed is parsed to the same.
"""
