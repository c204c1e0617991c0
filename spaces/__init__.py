"""Ready-made annotated models, one file each, written as a user would write them.

* `symnas.spaces.nas_bench_201:NasBench201`: an operation on each of six edges of a cell; 15,625 networks.
* `symnas.spaces.nas_bench_graph:NasBenchGraph`: links between four nodes and an operation on each; 26,206
  different graph neural networks among 59,049 decisions.
* `symnas.spaces.mnist1d:Net`: blocks that convolve or pool, optional shortcuts and dropout, a learning rate;
  1,064 decisions, conditional.

Each is a program, `symnas.program("symnas.spaces.mnist1d:Net")`, and a file to copy. Tables of all of them,
trained, are in the folder `benchmarks/quality`, or in the packages that it names.
"""
