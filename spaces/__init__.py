"""Ready-made annotated models, one file each, written as a user would write them.

* Cells: `darts:Net`, `nasnet:Net`, `enas_micro:Net`, `nas_bench_201:NasBench201`, and of recurrent networks
  `recurrent:Net` (DARTS) and `recurrent:EnasNet`.
* Whole networks for images: `enas_macro:Net`, `once_for_all:OnceForAll`, `proxyless:ProxylessNAS`,
  `fbnet:FBNet`, `slimmable_resnet:resnet20` (`resnet32`, `resnet56`), `vision_transformer:tiny` (`small`),
  `vit_resnas:ViTResNAS`.
* For words, graphs and signals: `language_model:LanguageModel`, `graph_network:GraphNetwork`,
  `nas_bench_graph:NasBenchGraph`, `mnist1d:Net`.

Each is a program, `symnas.program("symnas.spaces.darts:Net")`, and a file to copy. The page about spaces in
the documentation says what is chosen in each, and how its default compares with what was published. Tables
of `nas_bench_201`, `nas_bench_graph` and `mnist1d`, all trained, are in the folder `benchmarks/quality`, or
in the packages that it names.
"""
