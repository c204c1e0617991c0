"""What decisions must meet: clauses as data, and what it takes to count and draw under them.

To read in this order: `clauses` (the language, and the distance from holding), `requirement` (a clause over
the points of a space), `folds` (a clause as a sum over a few points against a bound), `diagram` (points one
after the other, with what clauses still need of those before). Nothing here knows trees: points are
addresses, positions and lists of values. `symnas.tree.admission` brings it to the columns of a space.

Laws, in `tests/tree`: counting, listing and drawing agree with listing everything and asking each clause.
"""
