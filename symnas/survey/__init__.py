"""From code to its tree: runs under partial decisions, until no decision meets a point that the tree lacks.

To read in this order: `runner` (one run, and what it met) with `tracked_hooks` (where labels come from),
`prototypes` (layers that are constructed once) and `randomness` (which line decides by a random number),
`knowledge` (what all runs told), `survey` (which run is next), `progress`, `assembly` (the tree).
`dependence` follows values through a run and tells which choices a condition reads.

The law, in `tests/survey`: the tree has every point that some decision meets, under exactly its conditions;
held on random programs.
"""
