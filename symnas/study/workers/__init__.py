"""Where trials run: in this process, or in others.

To read in this order: `executor` (what a driver asks for), `evaluation` (one trial, and what it came to),
`process_pool` and `worker` (both ends of a pipe), `pickling` (what travels through it).

Laws, in `tests/study/workers`: whatever a trial does, it ends with its right name and the search goes on.
"""
