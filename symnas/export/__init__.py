"""From a decision to plain Python: standalone source, generated classes, torch graphs.

To read in this order: `recording` and `invocations` (which function ran, with what chosen where), `variants`
(bodies that differ), `writing` and `text_edits` (edits on the user's text), `module_slice` and `visibility`
(what else is needed), `dispatch` (one expression for all loop turns), `composition` (what makes programs
among arguments), `source` (the texts), `bundle` (all files put together) with `imports`, `merging` (as one
text) and `packaging` (as several), `writing_files`, `generated_module` and `generated_package` (classes out
of them) with `pickled_classes`, `child` (built plainly or from these), `torch_graph`.

The law, in `tests/export`: source, build and graph compute the same.
"""
