"""The report as a page: one file that loads nothing, over one recipe or several, finished or not.

    chapter     what the store holds of each recipe, as the page tells it
    ranked      the methods of each recipe by rank, where there are three or more
    scores      figures of scores: PGR, accuracy, agreement
    misfit      misfit against gain
    course      figures over training and along chains: learning curves, alpha, the bootstrapping ladder
    calibrated  reliability diagrams
    crowds      supervisors that are ensembles
    examples    rows of the data on which student and supervisor part
    cost, graph, manifest, asked    what it took, what hangs on what, what it was made with, what was asked for
    write       all of that as HTML

Nothing here imports torch or matplotlib: `w2s run` draws a page each time it ends.
"""
