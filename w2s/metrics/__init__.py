"""What is measured: accuracy and its kin, agreement and misfit with the supervisor, and the gap recovered with an interval.

    scores        of one labeller against truth, and of a student beside its supervisor
    misfits       how far a student is from its supervisor, and what it gained
    selector      which weak model to learn from, by weak loss and misfit
    temperature   probabilities made as sure as they are right
    crowds        how alike the members of an ensemble are, and how far they err together
    texts         of written answers, by exact match
    resample      the paired bootstrap over seeds and rows
    jointly       the same of many quantities together, over rows that not every seed shares
    recovery      PGR, with an interval, or against a fixed floor and ceiling

Here are the names to import; scipy and scikit-learn are loaded when they are first needed.
"""

from w2s.metrics.misfits import Estimate, clipped_losses, misfit, misfit_terms, reverse_kl
from w2s.metrics.recovery import GAP_IN_SE, Fixed, Recovered, gap_error, pgr, recovered
from w2s.metrics.resample import Interval, Sums, interval, sums, to_json
from w2s.metrics.scores import (
    ECE_BINS,
    SLACK,
    TINY,
    Flags,
    Floats,
    Ints,
    accuracy,
    agreement,
    auroc,
    brier,
    briers,
    check,
    ece,
    grade,
    log_loss,
    log_losses,
)  # fmt: skip
from w2s.metrics.selector import choose, fit_slope, held_out_terms, predicted_losses
from w2s.metrics.temperature import at_temperature, cross_fitted, fit_temperature
from w2s.metrics.texts import grade_texts, matches

__all__ = [
    "ECE_BINS", "GAP_IN_SE", "SLACK", "TINY", "Estimate", "Fixed", "Flags", "Floats", "Interval", "Ints", "Recovered", "Sums",
    "accuracy", "agreement", "at_temperature", "auroc", "brier", "briers", "check", "choose", "clipped_losses", "cross_fitted",
    "ece", "fit_slope", "fit_temperature", "gap_error", "grade", "grade_texts", "held_out_terms", "interval", "log_loss",
    "log_losses", "matches", "misfit", "misfit_terms", "pgr", "predicted_losses", "recovered", "reverse_kl", "sums", "to_json",
]  # fmt: skip
