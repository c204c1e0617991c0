"""A scikit-learn pipeline with its choices in comments: a program need not be a network."""

from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC


def classifier() -> Pipeline:
    steps = []
    if True:  # search: {True, False} as scale
        steps.append(StandardScaler())
    if False:  # search: {True, False} as reduce
        components = 20  # search: 5..60 step 5
        steps.append(PCA(components, random_state=0))
    model = "forest"  # search: {"forest", "neighbours", "svm"}
    if model == "forest":
        depth = None  # search: {4, 8, 16, None}
        share = 0.1  # search: 0.02..0.5
        last = RandomForestClassifier(50, max_depth=depth, max_features=share, random_state=0)
    elif model == "neighbours":
        neighbours = 5  # search: 1..15 step 2
        weights = "uniform"  # search: {"uniform", "distance"}
        last = KNeighborsClassifier(neighbours, weights=weights)
    else:
        penalty = 1.0  # search: log 0.01..100.0
        gamma = 0.01  # search: log 0.0001..0.1
        last = SVC(C=penalty, gamma=gamma)
    return make_pipeline(*steps, last)
