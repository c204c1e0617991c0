"""Mistakes in the meaning of an annotation that is well formed, and in where it stands."""

from __future__ import annotations

from symnas.grammar.mistakes.mistake import Mistake

MEANING: tuple[Mistake, ...] = (
    Mistake(
        "empty-choice",
        "a choice has at least one candidate, and these braces are empty",
        "write the candidates, as in `{{16, 32, 64}}`",
        ("{}", "2 of {}", "order of { }"),
    ),
    Mistake(
        "duplicate-candidate",
        "candidates differ, and {given} stands here twice",
        "remove one of them",
        ("{1, 2, 1}", "{nn.ReLU(), nn.GELU(), nn.ReLU()}", "{0.1, 0.10}", "{16, 0x10}", "{a, {1, 1}}"),
    ),
    Mistake(
        "duplicate-label",
        "labels differ, and {given} labels two candidates",
        "give one of them another label, as in `{{small: 8, large: 64}}`",
        ("{a: 1, a: 2}", "{a, 'a'}", "{a: 1, 'a'}"),
    ),
    Mistake(
        "prior-not-last",
        "a prior weight ends its candidate, and something follows {given}",
        "put it last, as in `{{a @ 0.7, b @ 0.3}}`; a matrix product goes into parentheses",
        ("{a @ 0.7 b, c}", "{a @ 0.5 0.5, b @ 1}"),
    ),
    Mistake(
        "bad-candidate",
        "a candidate is a Python expression, and {given} is not one ({reason})",
        "is a comma missing? Each candidate must be readable by Python alone",
        (
            "{a b}",
            "{1 2, 3}",
            "{nn.ReLU() nn.GELU()}",
            "{if, else}",
            "{x = 3, 4}",
            "{1 +, 2}",
            "{f(a b)}",
            "{3, x{1, 2}}",
            "{3, 4{1, 2}}",
        ),
    ),
    Mistake(
        "comprehension",
        "candidates are written out, and this is a comprehension",
        "list them, write numbers as a range (16..256 x 2), or choose in code: oneof([...])",
        ("{i for i in range(3)}", "{2 ** i for i in range(4)}"),
    ),
    Mistake(
        "starred-candidate",
        "candidates are written out, and {given} unpacks something that is known only at run time",
        "list them, or choose in code: oneof(list)",
        ("{*kernels}", "{1, *rest}", "{**table}"),
    ),
    Mistake(
        "bad-label",
        "a label is one identifier, and {given} is not",
        "write it as in `{{conv: nn.Conv2d(c, c, 3)}}`; a dictionary as a candidate goes into parentheses",
        ("{'conv': a, 'pool': b}", "{3: a, 5: b}", "{a.b: 1}", "{class: 1, b: 2}"),
    ),
    Mistake(
        "some-priors",
        "either every candidate has a prior weight or none has, and {given} has none",
        "give it one, as in `{{a @ 0.7, b @ 0.3}}`",
        ("{a @ 0.7, b}", "{1, 2 @ 3}"),
    ),
    Mistake(
        "zero-priors",
        "prior weights are not all zero",
        "give at least one candidate a weight above zero",
        ("{a @ 0, b @ 0.0}",),
    ),
    Mistake(
        "reversed-range",
        "a range runs from its lower end to its upper end, and {given} does not",
        "write {mended}",
        ("6..1", "0.5..0.0", "log 1e-1..1e-4", "3..2 of {a, b, c}"),
    ),
    Mistake(
        "single-value-range",
        "a range has more than one value, and {given} has one",
        "widen it, or leave the annotation out",
        ("3..3", "0.5..0.5", "{f(2..2), 3}"),
    ),
    Mistake(
        "step-not-positive",
        "a step is above zero, and {given} is not",
        "write it as in `16..256 step 16`",
        ("1..6 step 0", "1..6 step -1", "0.0..0.5 step 0.0"),
    ),
    Mistake(
        "step-too-large",
        "the step {given} is larger than the range, which would leave one value",
        "make it smaller, or widen the range",
        ("1..6 step 10", "0.0..0.5 step 0.9", "16..24 x 2"),
    ),
    Mistake(
        "factor-too-small",
        "a factor is a whole number above 1 and its range starts above zero; {given} does not fit",
        "write it as in `16..256 x 2`",
        ("16..256 x 1", "16..256 x 0", "0..256 x 2", "16..256 x 1.5", "-4..8 x 2"),
    ),
    Mistake(
        "real-factor",
        "a factor belongs to a range of whole numbers",
        "draw real numbers evenly by magnitude with `log {given}`, or list them",
        ("0.1..10.0 x 2", "1e-4..1e-1 x 10"),
    ),
    Mistake(
        "log-not-positive",
        "a logarithmic range lies above zero, and {given} does not",
        "start it above zero, as in `log 1e-4..1e-1`",
        ("log 0..10", "log 0.0..1.0", "log -1..1"),
    ),
    Mistake(
        "log-on-a-grid",
        "a logarithmic range has neither step nor factor",
        "keep one: `log 16..256` draws evenly by magnitude, `16..256 x 2` lists the doublings",
        ("log 16..256 step 16", "log 16..256 x 2", "log 0.1..1.0 step 0.1"),
    ),
    Mistake(
        "number-malformed",
        "{given} is not a number that Python reads",
        "underscores stand between digits only, and whole numbers have no leading zero",
        ("1_..6", "01..6", "1__0..20"),
    ),
    Mistake(
        "subset-too-large",
        "a subset takes no more candidates than there are, and {given} are asked of {count}",
        "lower the number, or allow the same one again: `with repeats`",
        ("4 of {a, b, c}", "1..3 of {a, b}"),
    ),
    Mistake(
        "subset-of-none",
        "a subset takes at least one candidate",
        "write it as in `2 of {{a, b, c}}`, or `0..2 of {{a, b, c}}` where none is a possibility",
        ("0 of {a, b}", "0..0 of {a, b}"),
    ),
    Mistake(
        "single-candidate-order",
        "an order has at least two candidates",
        "add the others",
        ("order of {a}",),
    ),
    Mistake(
        "priors-in-an-order",
        "an order takes every candidate, so prior weights mean nothing in it",
        "remove them",
        ("order of {a @ 0.3, b @ 0.7}",),
    ),
    Mistake(
        "repeats-of-one",
        "`{given}` belongs to a subset, and this is a choice of one",
        "write how many, as in `2 of {{a, b, c}} {given}`, or remove it",
        ("{a, b} with repeats", "{a, b} ordered"),
    ),
    Mistake(
        "twice",
        "`{given}` is said once",
        "remove the second",
        ("{1, 2} as a as b", "{1, 2} shared shared", "2 of {a, b} ordered ordered"),
    ),
    Mistake(
        "reserved-name",
        "{given} is a word of Python and cannot be a name",
        "choose another, as in `{{16, 32}} as width`",
        ("{1, 2} as class", "{1, 2} as None", "lambda in {1, 2}", "1..6 as in"),
    ),
    Mistake(
        "clause-without-domain",
        "`{given}` belongs to a domain, and there is none",
        "write the domain first, as in `{{16, 32}} as width`; only `require` stands alone",
        ("shared", "as width", "require a < b as k"),
    ),
    Mistake(
        "bad-requirement",
        "a requirement is a Python condition, and {given} is not one ({reason})",
        "write it as in `require params < 1e6 and depth > 2`; equality is ==",
        ("require a <", "require a = b", "{1, 2} require k not", "require 1..3"),
    ),
)

ATTACHMENT: tuple[Mistake, ...] = (
    Mistake(
        "default-not-a-candidate",
        "the value in the code, {given}, is the default, so it must be among the candidates",
        "{mended}?",
        (
            "k = 3  # search: {1, 5, 7}\n",
            "act = nn.ReLU()  # search: {nn.GELU(), nn.SiLU()}\n",
            "k = True  # search: {1, 2}\n",
        ),
    ),
    Mistake(
        "default-outside-the-range",
        "the value in the code, {given}, is the default, so it must lie in the range",
        "{mended}?",
        (
            "k = 9  # search: 1..6\n",
            "p = 0.7  # search: 0.0..0.5\n",
            "for i in range(9):  # search: 1..6\n    f(i)\n",
            "k = 0.5  # search: 1..6\n",
        ),
    ),
    Mistake(
        "default-off-the-grid",
        "the value in the code, {given}, is the default, so it must be one of the range's values; its "
        "neighbours are {near}",
        "move the range's ends or step, or the value",
        ("k = 20  # search: 16..256 step 16\n", "k = 48  # search: 16..256 x 2\n"),
    ),
    Mistake(
        "default-not-a-subset",
        "the value in the code, {given}, is the default, so it must be {wanted}",
        "change it, or the annotation",
        (
            "ops = [1, 2, 3]  # search: 2 of {1, 2, 3}\n",
            "ops = [1, 2]  # search: order of {1, 2, 3}\n",
            "ops = [1, 9]  # search: 2 of {1, 2, 3}\n",
        ),
    ),
    Mistake(
        "several-matches",
        "this describes one expression, and {count} on the line fit: {given}",
        "say which: {wordings}",
        ("a, b = 3, 3  # search: {1, 3}\n", "x = f([3], [5])  # search: 1..6\n"),
    ),
    Mistake(
        "literal-among-arguments",
        "a literal among several arguments could be there by accident, so {given} is not taken",
        "say which argument is meant: {wordings}",
        ("conv = nn.Conv2d(c, c, 3)  # search: {1, 3, 5}\n", "conv = f(3, 3, k=3)  # search: {1, 3, 5}\n"),
    ),
    Mistake(
        "no-match",
        "nothing on the line is one of the candidates, and the line does not assign one value",
        "{wordings}",
        (
            "print(x)  # search: {1, 2}\n",
            "return_value(a, b)  # search: 1..6\n",
            "import os  # search: {1, 2}\n",
            "try:  # search: {1, 2}\n    f()\nexcept E:\n    pass\n",
        ),
    ),
    Mistake(
        "unknown-target",
        "the line has no variable, keyword or parameter named {given}{nearest}",
        "the names here are {known}",
        ("k = 3  # search: j in {1, 3}\n", "f(size=3)  # search: sise in {1, 3}\n"),
    ),
    Mistake(
        "no-such-item",
        "an item is counted from 0 in the list as it is written, and {given} is none of its {count}",
        "the last one is [{last}]",
        ("k = [1, 3]  # search: [2] in {1, 3}\n",),
    ),
    Mistake(
        "no-list-for-items",
        "items are those of one list or tuple that is written out, and {given} {count} of them",
        "write `NAME[0] in …`, NAME being its variable, keyword or parameter, or give it a line of its own",
        ("k = 3  # search: [0] in {1, 3}\n", "f([1, 3], [1, 5])  # search: each in {1, 3, 5}\n"),
    ),
    Mistake(
        "several-targets",
        "{given} names {count} values of the line",
        "put them on lines of their own: {given} = … and pass the variable",
        ("x = f(k=3), g(k=3)  # search: k in {1, 3}\n",),
    ),
    Mistake(
        "described-twice",
        "one value has one annotation, and {given} is described in line {line} already",
        "remove one of the two",
        ("# search: {1, 3}\nk = 3  # search: {3, 5}\n",),
    ),
    Mistake(
        "described-inside",
        "{given} lies inside an expression that the annotation in line {line} describes",
        "write the inner choice inside the outer one's candidate: {{f({{1, 3}}), g()}}",
        ("# search: {f(3), g()}\nk = f(3)  # search: {1, 3}\n",),
    ),
    Mistake(
        "nothing-follows",
        "an annotation alone on its line describes the next statement, and its block ends here",
        "put it above the statement, or behind its line",
        ("k = 3\n# search: {1, 3}\n", "def f():\n    k = 3\n    # search: {1, 3}\nj = 3\n"),
    ),
    Mistake(
        "real-turns",
        "in a `for` a range is the number of turns, and turns are whole numbers",
        "write whole numbers, as in 1..6",
        ("for i in range(3):  # search: 0.0..5.0\n    f(i)\n",),
    ),
    Mistake(
        "negative-turns",
        "a number of turns is at least 0, and {given} goes below",
        "start the range at 0 or above",
        ("for i in range(3):  # search: -1..5\n    f(i)\n",),
    ),
    Mistake(
        "call-arguments",
        "{given}",
        "the form is {form}",
        (
            "from symnas import oneof\nk = oneof()  # a call\n",
            "from symnas import intv\nk = intv(1)\n",
            "from symnas import oneof\nk = oneof([1, 2], nam='k')\n",
            "from symnas import oneof\nk = oneof([1, 2], name=NAME)\n",
        ),
    ),
    Mistake(
        "require-unknown",
        "`require` speaks of variables in scope, of points, and of params, flops and memory; nothing here is "
        "named {given}{nearest}",
        "correct the name",
        (
            "k = 3  # search: {1, 3} require latency < 5\n",
            "# search: require parms < 1e6\nk = 3\n",
            "k = 3  # search: {1, 3} require k < 2 or max(kernels) < 3\n",
        ),
    ),
    Mistake(
        "near-miss",
        "an annotation starts with `# search:`, in these letters, with one space and a hash of its own, and "
        "{given} was found",
        "write `# search: {rest}`",
        (
            "k = 3  # Search: {1, 3}\n",
            "k = 3  # search {1, 3}\n",
            "k = 3  # search : {1, 3}\n",
            "k = 3  ## search: {1, 3}\n",
            "k = 3  #: search: 1..6\n",
            "k = 3  # the width, search: {1, 3}\n",
        ),
    ),
    Mistake(
        "python-syntax",
        "Python cannot read this file: {given}",
        "mend it first",
        ("k = = 3  # search: {1, 3}\n", "def f(:\n"),
    ),
)

WARNINGS: tuple[Mistake, ...] = (
    Mistake(
        "misspelt",
        "this looks like an annotation, but an annotation starts with `# search:`, and {given} was found",
        "write `# search: {rest}`",
        (
            "k = 3  # serach: {1, 3}\n",
            "k = 3  # seach: 1..6\n",
        ),
    ),
)
