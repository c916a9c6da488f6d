"""A linear CNN supervises a two-layer ReLU CNN on patches of signal and noise (Oh, Song, Yun 2025, arXiv 2510.24812).

    config     the constants: one point, and the bench's points and grids
    data       items of three patches
    weak       the linear CNN
    strong     the two-layer ReLU CNN and its gradient
    simulate   one simulation: labels by the weak model, full-batch gradient descent, measures by step
    curve      what a simulation leaves
    work       the stage's function
    results    what the store holds of a bench
    verdicts   the claims
    figures    the drawings

The paper's exact definitions (norms, dimension, number of filters, step sizes, noise) were not available to us: constants here are
our own choices, which show every qualitative claim. Nothing here reproduces the paper's numbers.
"""
