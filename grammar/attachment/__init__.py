"""What an annotation describes: finding the expression of its line.

To read in this order: `finding` (the statement of a comment), `roots` (the expressions of a statement),
`matching` (which of them is a candidate), `attach` (the two together), `candidates`, `signatures`,
`scopes`, `naming`, `verdicts`.

Laws, in `tests/grammar/attachment`: formatters do not move an annotation to another expression.
"""
