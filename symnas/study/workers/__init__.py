"""Where trials run: in this process, or in others.

To read in this order: `executor` (what a driver asks for), `evaluation` (one trial, and what it came to),
`forks` (a process that an evaluator forked), `process_pool` and `worker` (both ends of a `pipe`), `pickling`
and `script` (what travels through it), `descendants` and `guard` (how all that was started ends).

Laws, in `tests/study/workers`: whatever a trial does, it ends with its right name and the search goes on; and
with it ends whatever it has started.
"""
