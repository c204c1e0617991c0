"""Runs of a program's constructor: what they make, and what they tell about its choices.

To read in this order. What is made: `parameter_keys` (the place of construction), `mixed_module` and
`watching`, `superposition` (what one run makes, with choices open) and `open_choices` (which can be),
`plugging` (chosen candidates in the place of open choices), `child_layout` (the dimensions of a model's
tensors, as a call tells them) and `alignment` (how the tensors of many children lie in one shared tensor).
What choices do, found out by such runs: `depth_discovery` (numbers of blocks), `forward_discovery` (choices
made when the model is called), `sizes` and `size_discovery` (widths and kernels), and `plan` (all of it put
together, for a network that mixes them).

Laws, in `tests/construction`: under a decision, a model with choices open computes what the child does;
children meet at a key where the text that constructs their weights is one. What is discovered is held to
children in `tests/relaxed`, and alignment in `tests/supernet`.
"""
