"""What an annotation describes: finding the expression of its line.

To read in this order: `annotation` (the result), `roots` (the expressions of a statement), `matching`
(whether one is a value of the domain), `finding` (which of them are), `naming` and `signatures` (what their
values are called), `scopes` (imports), `items` (those of a list, by position), `attach` (the rule that
chooses), `verdicts` (what it says if none fits).

Laws, in `tests/grammar/attachment`: formatters do not move an annotation to another expression.
"""
