"""Runs of a program's constructor, and what they make: modules, their keys, their layouts.

To read in this order: `parameter_keys` (the place of construction), `mixed_module` and `watching`,
`superposition` (what one run of the constructor makes, with choices open) and `open_choices` (which can be),
`plugging` (the chosen candidates in the place of open choices), `child_layout` (which slices of shared
tensors a child is made of).

Laws, in `tests/construction`: under a decision, a model with choices open computes what the child does;
children meet at a key where the text that constructs their weights is one.
"""
