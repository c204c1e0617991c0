"""What each word is given besides the program, the task and the seed: how much it may train."""

DATA = ("mnist", "mnist1d")
ALONE = {"mnist": 6, "mnist1d": 8}  # epochs of a child that is trained by itself
RELAXED = {"batch_size": 50, "held_out": 0.0, "lr": 0.05, "arch_lr": 0.03}

# `trials` children are tried. `epochs` is how long the shared weights are trained; without it, every child is
# trained by itself. `options` are the algorithm's own.
WORDS: dict[str, dict] = {
    "random": {"trials": 24},
    "evolution": {"trials": 24, "options": {"population": 8, "tournament": 4, "repeats": False}},
    "mcts": {"trials": 24},
    "smbo": {"trials": 24},
    "enas": {"trials": 340, "epochs": 16, "options": {"steps": 2, "batch": 10, "lr": 0.02}},
    "single-path": {"trials": 80, "epochs": 24, "options": {"population": 20, "mutants": 10}},
    "darts": {"options": {**RELAXED, "epochs": 5}},
    "gdas": {"options": {**RELAXED, "epochs": 16, "warmup": 8, "arch_lr": 0.05}},
    "proxyless": {
        "options": {
            **RELAXED, "epochs": 12, "warmup": 6, "every": 1, "weight_decay": 3e-4, "lr": 0.025,
            "arch_lr": 0.1,
        }
    },
}  # fmt: skip
