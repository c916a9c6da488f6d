"""The gain of a student against its misfit, where theory says they are equal, where it bounds one by the other, and where neither.

    config       the settings of the three families, and the bench
    outcomes     gain and misfit of one task, task by task
    squared      squared loss: projections onto a linear class and onto a convex cone (Charikar, Pabbaraju, Shiragur 2024, theorem 1)
    entropy      reverse KL: mixtures of heads, which are convex, and logistic heads, which are not (Mulgund & Pabbaraju 2025)
    representations   the synthetic regression of Charikar et al.: linear heads on representations by MLPs
    work         the stages' functions
    results      what the store holds of a bench; slopes and correlations
    verdicts     the claims
    figures      the drawings

The sizes of the synthetic regression are from memory of the paper, scaled down by default; how representations are pretrained and
perturbed is our own choice.
"""
