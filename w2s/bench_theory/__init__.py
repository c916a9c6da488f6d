"""Analytical toy models of weak-to-strong generalization that need no language model (`w2s theory`).

    cnn/      a linear CNN supervises a two-layer ReLU CNN on patches (Oh, Song, Yun 2025)
    misfit/   the gain of a student against its misfit (Charikar et al. 2024; Mulgund & Pabbaraju 2025)

A simulation (one point, one seed) is a stage: keyed by what it simulates, done once, kept in the store. Around them:

    simulation   what both kinds of stages have in common, and their jobs
    asked        a bench's settings with the changes of a command line
    claims       what theory says beside what was seen
    spread       means and intervals over seeds
    heat         a phase diagram as a drawing
    page         tables, figures and the page that a bench leaves
"""
