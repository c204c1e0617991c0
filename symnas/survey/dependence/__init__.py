"""Which choices a value depends on: labels that follow values through the code of a run.

To read in this order: `rewrite`, `rewrite_expressions` and `scopes` make code that reports to a tracker;
`heap` and `state` hold labels of objects and conditions; `access`, `loops`, `calls`, `values` and `frame`
are what reporting code calls; `tracker` is the whole.

The law, in `tests/survey/dependence`: whatever changes with a choice carries its label; held on random
programs.
"""
