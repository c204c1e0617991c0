"""Every kind of mistake in an annotation: how it is recognised, what is said, and examples that show it.

The parser takes its messages from here, so a test that walks the examples holds the messages true. A mistake of form is
recognised by its `pattern` over the annotation's text or, without one, by Lark coming to the same state as in one of its
examples; a mistake of meaning is raised by name where it is found. Examples that contain a newline or `# search:` are
sources, the others annotation texts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from symnas.errors import AnnotationError, Location

_NUMBER = r"-?\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Mistake:
    """One kind of mistake.

    Args:
        code: short stable identifier.
        message: the rule and what was given; `{fields}` are filled in where the mistake is found.
        remedy: what to do.
        examples: malformed annotation texts, or sources.
        pattern: regular expression that recognises it in a text that Lark refused; its first group is what to point at.
    """

    code: str
    message: str
    remedy: str
    examples: tuple[str, ...]
    pattern: str | None = None


# Found before Lark is asked, since unbalanced text spoils every other message.
BALANCE = ("unclosed-string", "unclosed-bracket", "stray-bracket")

# Tried in this order: the particular before the general.
FORM: tuple[Mistake, ...] = (
    Mistake(
        "empty-annotation",
        "nothing follows `search:`",
        "write what may stand here, as in `# search: {{16, 32, 64}}` or `# search: 1..6`",
        ("", "   "),
        r"^(\s*)$",
    ),
    Mistake(
        "unclosed-string",
        "a string opened with {given} is not closed on its line",
        "close it with the same quote",
        ("{'a, b}", '{"relu, gelu}'),
    ),
    Mistake(
        "unclosed-bracket",
        "{given} is never closed",
        "close it, or continue the annotation on a comment line that starts with `#` and at least two spaces",
        ("{1, 2", "{f(1, 2}", "{[1, 2}", "{1, (2, 3}", "{1, 2]}", "{f(1)), 2}", "2 of {a, b"),
    ),
    Mistake(
        "stray-bracket",
        "{given} closes nothing",
        "remove it, or open it before",
        ("{1, 2}}", "1..6)", "{1, 2} ]"),
    ),
    Mistake(
        "odd-character",
        "the character {given} does not belong to Python or to the language of annotations",
        "type it as plain ASCII: quotes ' or \", dots .., hyphen -",
        ("{“relu”, “gelu”}", "1…6", "{1 – 2, 3}", "{a, $b}", "{1; 2}", "{a\\, b}"),
        r"([^\x00-\x7f\w]|[$?;\\`])",
    ),
    Mistake(
        "bare-lambda",
        "a lambda's colon would be read as a label's",
        "put the lambda into parentheses: (lambda x: x)",
        ("{lambda x: x, f}", "{lambda: 3, 4}", "{act: lambda x: x, f}", "{f, lambda x, y: x}"),
        r"(?:^|[{,:])\s*(lambda\b[^(){}]*:)",
    ),
    Mistake(
        "square-brackets",
        "candidates stand in braces, not in square brackets",
        "write {braced}",
        ("[1, 2, 3]", "[nn.ReLU(), nn.GELU()]"),
        r"^\s*(\[.*\])\s*(?:as\b.*)?$",
    ),
    Mistake(
        "round-brackets",
        "candidates stand in braces, not in parentheses",
        "write {braced}",
        ("(1, 2, 3)", "('a', 'b')"),
        r"^\s*(\(.*\))\s*(?:as\b.*)?$",
    ),
    Mistake(
        "three-dots",
        "a range has two dots, not three",
        "write LOW..HIGH, as in 1..6 (both ends included)",
        ("1...6", "0.0...0.5", "log 1...10"),
        r"\d\s*(\.\.\.)",
    ),
    Mistake(
        "leading-dot",
        "a number of a range has digits on both sides of its dot",
        "write 0.5 for .5, and 1.0 for 1.",
        (".1..0.5", "1e-4..1.", "log .001..0.1"),
        r"(?:^|[\s{(,])(?:log\s+)?(\.\d[\d_]*(?:[eE][+-]?\d+)?)\s*\.\.|\.\.\s*(\d+\.)(?!\d|\.)",
    ),
    Mistake(
        "range-without-end",
        "a range has two ends, and its upper end is missing",
        "write LOW..HIGH, as in 1..6",
        ("1..", "log 1e-4..", "0.0.. step 0.1", "1.. as depth"),
        rf"({_NUMBER}\s*\.\.)\s*(?:$|step\b|x\b|as\b|shared\b|require\b)",
    ),
    Mistake(
        "range-without-start",
        "a range has two ends, and its lower end is missing",
        "write LOW..HIGH, as in 1..6",
        ("..6", "log ..0.1"),
        rf"^\s*(?:log\s+)?(\.\.\s*{_NUMBER})",
    ),
    Mistake(
        "range-end-not-a-number",
        "the ends of a range are numbers written out, and {given} is not one",
        "write both numbers, or list the candidates: {{dim, 2 * dim}}; a range over computed bounds is intv(low, high) in code",
        ("1..depth", "dim..256", "1..2*n", "0.0..1.0e", "1..0x10", "log lo..hi"),
        rf"(?:{_NUMBER}|[\w)\]])\s*\.\.\s*((?!{_NUMBER}(?![\w.]))[\w(\-.]+)|(?:^|\s)([^\W\d]\w*)\s*\.\."
        rf"|\.\.\s*({_NUMBER}\s*[-+*/]+\s*[^\W\d]\w*)",
    ),
    Mistake(
        "step-without-number",
        "`{given}` is followed by a number",
        "write it as in `16..256 step 16` or `16..256 x 2`",
        ("1..6 step", "16..256 x", "1..8 step two", "1..8 x n", "1..9 step as k"),
        rf"\.\.\s*{_NUMBER}\s*\b(step|x)\b(?!\s*-?\d)",
    ),
    Mistake(
        "step-and-factor",
        "a range has either a step or a factor",
        "keep one: `16..256 step 16` counts up, `16..256 x 2` doubles",
        ("16..256 step 16 x 2", "16..256 x 2 step 16"),
        rf"\b(step\s+{_NUMBER}\s*x\b|x\s*{_NUMBER}\s+step\b)",
    ),
    Mistake(
        "step-by-another-word",
        "a range's step is written with the word step, not {given}",
        "write it as in `16..256 step 16`, or `16..256 x 2` for a factor",
        ("1..6 by 2", "16..256 every 16", "16..256 * 2", "16..256 steps 8", "16..256, 16", "1..9 :2"),
        rf"\.\.\s*{_NUMBER}\s*(by\b|every\b|steps\b|stride\b|times\b|[*:](?=\s*\d)|,(?=\s*\d+\s*(?:$|as\b)))",
    ),
    Mistake(
        "log-without-range",
        "log stands before a range of numbers",
        "write it as in `log 1e-4..1e-1`",
        ("log {1, 2}", "log", "log(1e-4..1e-1)", "log 5"),
        r"^\s*(log)\b",
    ),
    Mistake(
        "log-behind",
        "log stands before its range, not behind",
        "write it as in `log 1e-4..1e-1`",
        ("1e-4..1e-1 log", "1..64 logarithmic"),
        r"\.\.\s*[\d.eE+-]+\s+(log\w*)",
    ),
    Mistake(
        "range-another-way",
        "a range is written with two dots, not as {given}",
        "write LOW..HIGH, as in 1..6 (both ends included)",
        ("1-6", "1:6", "range(1, 7)", "1 to 6", "0.0 - 0.5", "range(3)"),
        rf"^\s*({_NUMBER}\s*(?:-|:|\bto\b)\s*{_NUMBER}|range\s*\(.*\))",
    ),
    Mistake(
        "order-without-braces",
        "`order of` is followed by its candidates in braces",
        "write it as in `order of {{a, b, c}}`",
        ("order of a, b", "order {a, b}", "order of [a, b]", "order"),
        r"^\s*(order\b(?:\s+of\b)?)(?!\s+in\b|\s*[=:])",
    ),
    Mistake(
        "subset-count",
        "before `of` stands how many: a whole number or a range of two, and {given} is neither",
        "write it as in `2 of {{a, b, c}}` or `1..3 of {{a, b, c}}`",
        (
            "of {a, b}",
            "n of {a, b}",
            "two of {a, b}",
            "0.5 of {a, b}",
            "1..2 step 2 of {a, b}",
            "-1 of {a, b}",
            "any of {a, b}",
        ),
        r"^\s*(?!\d+(?:\s*\.\.\s*\d+)?\s+of\s*\{)(?!.*\bin\b.*\bof\b)(?!\d+\s+of\s*[^{\s]|\d+\s+of\s*$|\d+\s*\.\.\s*\d+\s+of\s*[^{\s])((?:[^{}]*?\S)?)\s*\bof\s*\{",
    ),
    Mistake(
        "subset-without-braces",
        "`{given}` is followed by its candidates in braces",
        "write it as in `2 of {{a, b, c}}`",
        ("2 of [a, b, c]", "2 of a, b, c", "1..2 of", "2 of (a, b)"),
        r"(\d+\s+of)\b(?!\s*\{)",
    ),
    Mistake(
        "prior-outside",
        "a prior weight belongs to a candidate inside the braces",
        "write it there, as in `{{a @ 0.7, b @ 0.3}}`; a range has none",
        ("1..6 @ 0.5", "{a, b} @ 0.3", "{a} @ 0.5 as k"),
        r"(?:\}|\.\.\s*[\d.eE+-]+)\s*(@.*)",
    ),
    Mistake(
        "repeats-wording",
        "`with` is followed by `repeats`, and {given} was found",
        "write `with repeats` behind the braces of a subset, as in `2 of {{a, b}} with repeats`",
        (
            "2 of {a, b} with replacement",
            "2 of {a, b} with",
            "2 of {a, b} with repeat",
            "2 of {a, b} without repeats",
        ),
        r"\}\s*(with(?:out)?\b(?!\s+repeats\b)[^{}]*|without\b[^{}]*)",
    ),
    Mistake(
        "name-missing",
        "`as` is followed by a name",
        "write it as in `{{16, 32}} as width`",
        ("{1, 2} as", "1..6 as", "1..6 as shared", "{1, 2} as require x"),
        r"[}\d]\s*\b(as)\b\s*(?:$|shared\b|require\b|as\b)",
    ),
    Mistake(
        "name-malformed",
        "a name is one identifier, and {given} is not",
        "write it as in `{{16, 32}} as width`",
        ("{1, 2} as 'width'", "{1, 2} as 3x", "{1, 2} as my-width", "1..6 as a.b", "1..6 as (k)"),
        r"[}\d]\s*\bas\s+(?![^\W\d]\w*\s*(?:$|shared\b|require\b|as\b|with\b|ordered\b))(?![^\W\d]\w*\s+[^\W\d])(\S.*?)\s*$",
    ),
    Mistake(
        "requirement-missing",
        "`require` is followed by a condition",
        "write it as in `require params < 1e6`",
        ("require", "{1, 2} require", "1..6 as k require"),
        r"(?:^|[}\d\w]\s*)\b(require)\s*(?:$|shared\b|require\b|as\b)",
    ),
    Mistake(
        "tie-without-address",
        "`same as` is followed by the address of another point",
        "write it as in `same as stage.k`",
        (
            "same as",
            "same as {1, 2}",
            "same as 3",
            "same",
            "same stage.k",
            "same as .k",
            "same as k.",
            "same stage k",
        ),
        r"^\s*(same\b.*)$",
    ),
    Mistake(
        "target-without-domain",
        "`{given}` is followed by what the value may be",
        "write it as in `kernel_size in {{1, 3, 5}}`",
        ("k in", "k in [1, 2]", "k in (1, 2)", "kernel_size in 3", "k in as j"),
        r"^\s*([^\W\d]\w*\s+in)\b(?!\s*(?:\{|[-\d]\S*\.\.|log\b|order\b|\d+\s+of|same\b))",
    ),
    Mistake(
        "target-malformed",
        "before `in` stands the name of one variable, keyword or parameter, and {given} is not",
        "write it as in `kernel_size in {{1, 3, 5}}`",
        ("3 in {1, 3}", "self.k in {1, 3}", "a, b in {1, 3}", "f(k) in {1, 3}"),
        r"^\s*(?![^\W\d]\w*\s+in\b)([^{}]*?\S)\s+in\s*(?:\{|[-\d])",
    ),
    Mistake(
        "target-by-another-sign",
        "a value is named with `in`, not with {given}",
        "write it as in `kernel_size in {{1, 3, 5}}`",
        ("k = {1, 3}", "k: {1, 3}", "kernel_size := {1, 3}", "k = 1..6", "k == {1, 2}"),
        r"^\s*[^\W\d]\w*\s*(:=|==|=|:|~|<-)\s*(?:\{|[-\d]|log\b)",
    ),
    Mistake(
        "choice-by-another-sign",
        "candidates stand in braces with commas between them, not separated by {given}",
        "write them as in `{{1, 2, 3}}`",
        ("1 | 2 | 3", "relu or gelu", "1 / 2 / 3", "'a' | 'b'"),
        r"^[^{}]*?[\w'\")\]]\s*(\||/|\bor\b)\s*[\w'\"(\[]",
    ),
    Mistake(
        "two-domains",
        "an annotation has one domain, and a second one begins here",
        "write one comment per value: one behind the line, others alone on the lines above it, each with `NAME in`",
        ("{1, 2} {3, 4}", "{1, 2}, {3, 4}", "1..6 {1, 2}", "k in {1, 2}, j in {3, 4}", "1..6, 2..5"),
        r"(?:\}|\.\.\s*[\d.]+)\s*,?\s*((?:and\s+)?(?:[^\W\d]\w*\s+in\s*)?(?:\{|\d+\s*\.\.|order\s+of|\d+\s+of).*)",
    ),
    Mistake(
        "without-braces",
        "candidates stand in braces",
        "write {braced}",
        ("1, 2, 3", "nn.ReLU(), nn.GELU()", "16", "nn.ReLU()", "'same'", "True, False", "-1"),
        r"^\s*((?:[\w.]+\(.*\)|-?[\d.]+|'[^']*'|\"[^\"]*\"|[\w.]+\s*(?=,|$))(?:\s*,.*|))\s*$",
    ),
    Mistake(
        "unknown-clause",
        "{given} is no clause of an annotation{nearest}",
        "the clauses are `as NAME`, `require CONDITION`, `shared`, and for subsets `with repeats` and `ordered`",
        (
            "{1, 2} named k",
            "{1, 2} share",
            "1..6 default 3",
            "{1, 2} # note",
            "{1, 2} -- kernel",
            "{a, b} requires x > 1",
            "1..6 (depth)",
            "{1, 2} 5",
            "{1, 2} as k j",
            "2 of {a, b} sorted",
        ),
        r"(?:\}|\.\.\s*[\d.eE+-]+(?:\s+step\s+\S+|\s*x\s*[\d]+)?)\s*(?:as\s+\w+\s+|shared\s+|ordered\s+|with\s+repeats\s+)*((?!as\s|shared\b|require\s|ordered\b|with\s+repeats)[^{}\s].*)",
    ),
    Mistake(
        "empty-candidate",
        "nothing stands between two commas, or before the first one",
        "remove the comma, or write the candidate (None is a candidate too)",
        ("{1, , 2}", "{,1}", "{,}", "{1,,}", "{a, b,,}"),
    ),
    Mistake(
        "label-without-candidate",
        "a label is followed by its candidate",
        "write it as in `{{conv: nn.Conv2d(c, c, 3), none: nn.Identity()}}`",
        ("{conv: , a}", "{conv: }", "{a, conv:}"),
    ),
    Mistake(
        "candidate-without-label",
        "a colon follows a label, and there is none",
        "write it as in `{{conv: nn.Conv2d(c, c, 3), none: nn.Identity()}}`",
        ("{: a}", "{a, : b}"),
    ),
    Mistake(
        "two-labels",
        "a candidate has one label",
        "keep one; a slice or a lambda with a colon goes into parentheses",
        ("{a: b: c}", "{x: y: 1, z}"),
    ),
    Mistake(
        "prose",
        "a comment that starts with `# search:` is an annotation, and this is not one",
        "write a domain, as in `{{16, 32}}` or `1..6`; if the comment is prose, begin it with another word",
        ("for the best architecture", "the tree, depth first", "see below.", "= 3", "!"),
        r"^(.*)$",
    ),
)

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
        ("{a b}", "{1 2, 3}", "{nn.ReLU() nn.GELU()}", "{if, else}", "{x = 3, 4}", "{1 +, 2}", "{f(a b)}"),
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
        "a factor is a whole number above 1 and the range it multiplies starts above zero; {given} does not fit",
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
        "the value in the code, {given}, is the default, so it must be one of the range's values; its neighbours are {near}",
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
        "python-syntax",
        "Python cannot read this file: {given}",
        "mend it first",
        ("k = = 3  # search: {1, 3}\n", "def f(:\n"),
    ),
)

WARNINGS: tuple[Mistake, ...] = (
    Mistake(
        "near-miss",
        "this looks like an annotation, but an annotation starts with `# search:`, and {given} was found",
        "write `# search: {rest}`",
        (
            "k = 3  # serach: {1, 3}\n",
            "k = 3  # Search: {1, 3}\n",
            "k = 3  # search {1, 3}\n",
            "k = 3  #: search: 1..6\n",
            "k = 3  # seach: 1..6\n",
        ),
    ),
)

ALL = FORM + MEANING + ATTACHMENT + WARNINGS


@cache
def _by_code() -> dict[str, Mistake]:
    return {entry.code: entry for entry in ALL}


def mistake(code: str, location: Location, **fields: object) -> AnnotationError:
    """Make the error for the mistake `code` at a place; `fields` fill its message and remedy."""
    entry = _by_code()[code]
    text = (
        f"{entry.message}: {entry.remedy}"
        if code.startswith("default-")
        else f"{entry.message}; {entry.remedy}"
    )
    return AnnotationError(text.format(**fields), location, code)


def by_example() -> dict[str, tuple[str, ...]]:
    """Return the examples of the mistakes of form that Lark's state at the error tells apart."""
    known = {entry.code: entry.examples for entry in FORM if entry.pattern is None}
    return {code: examples for code, examples in known.items() if code not in BALANCE}


def find(code: str) -> Mistake:
    """Return the mistake with a code."""
    return _by_code()[code]


def recognise(text: str) -> tuple[Mistake, int, int] | None:
    """Return the first mistake of form whose pattern fits a text that could not be read, and the span to point at."""
    for entry in FORM:
        found = re.search(entry.pattern, text) if entry.pattern else None
        if found:
            group = next((g for g in range(1, found.re.groups + 1) if found.group(g) is not None), 0)
            return entry, *found.span(group)
    return None
