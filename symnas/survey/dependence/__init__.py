"""Which choices a value depends on: labels that follow values through the code of a run.

To read in this order: `scopes`, `rewrite_expressions` and `rewrite` make code that reports to a tracker;
`conditions`, `heap` and `state` are what is known: where a run is, labels inside objects, and all of a run;
`access`, `stores`, `loops`, `builtin_rules`, `calls` and `operators` say how labels pass through what code
does; `frame` is what rewritten code calls, with a table of the operations; `tracker` opens the frames;
`effects` tells which runs did not know what a later one showed.

The law, in `tests/survey/dependence`: whatever changes with a choice carries its label; held on random
programs.
"""
