"""Tables in, tables out: scores, truth from the audit, coupling, comparisons.

Nothing here imports torch, reads a file or knows a model: an estimator takes integer codes or counts
and gives numbers with intervals.
"""
