"""The audit of a run, step by step: draw, plan, hand out, take back in.

Each function works on a run's folder, whose ``audit/`` holds what `labels.audit_sample` and
`labels.audit_import` describe, and returns lines that tell a person what was done.
"""
