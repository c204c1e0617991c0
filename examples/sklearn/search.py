"""Search the pipeline on handwritten digits; compare with its defaults and with chance on held-out images."""

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline

import symnas

PROGRAM = f"{Path(__file__).parent / 'classifier.py'}:classifier"


def data():
    images, labels = load_digits(return_X_y=True)
    return train_test_split(images, labels, test_size=0.3, random_state=0, stratify=labels)


def evaluate(model: Pipeline) -> float:
    """Return the mean accuracy over three folds of the training images."""
    images, _, labels, _ = data()
    return float(cross_val_score(model, images, labels, cv=3).mean())


def held_out(model: Pipeline) -> float:
    train, test, train_labels, test_labels = data()
    return float(model.fit(train, train_labels).score(test, test_labels))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--store", help="file that keeps the study")
    options = parser.parse_args()
    program = symnas.program(PROGRAM)
    algorithm = symnas.algorithms.RegularizedEvolution(population=15, tournament=5)
    study = symnas.search(program, evaluate, algorithm=algorithm, trials=options.trials, store=options.store)
    chance = [held_out(program.build(d)) for d in program.space.sample(10, np.random.default_rng(0))]
    print("best decision   ", dict(study.best.decision))
    print(f"held out, best   {held_out(study.best.build()):.3f}")
    print(f"held out, default {held_out(program.build()):.3f}")
    print(f"held out, random  {mean(chance):.3f} (mean of {len(chance)})")


if __name__ == "__main__":
    main()
