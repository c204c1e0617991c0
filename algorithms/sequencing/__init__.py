"""A decision as a sequence of small choices: what search trees and policies both decide.

To read in this order: `points` (one point as states and actions), `paths` (one decision at a time, in any
order of points: what a search tree is built on), `batches` (many decisions at once, in tree order: what a
policy is asked).

Laws, in `tests/algorithms/sequencing`: every decision has one sequence, and every sequence leads back to it;
completions are counted as they are listed.
"""
