"""Inside a contingency table: what each cell adds to an association, and the same table at other margins.

As in `association`, tables have shape (…, K_a, K_b) over all classes of the schema.
"""

from __future__ import annotations

import numpy as np


def expected(table: np.ndarray) -> np.ndarray:
    """Counts expected under independence, shape (…, K_a, K_b); NaN for an empty table."""
    table = np.asarray(table, dtype=float)
    n = table.sum(axis=(-2, -1), keepdims=True)
    outer = table.sum(axis=-1, keepdims=True) * table.sum(axis=-2, keepdims=True)
    return np.divide(outer, n, out=np.full(table.shape, np.nan), where=n > 0)


def adjusted_residuals(table: np.ndarray) -> np.ndarray:
    """How many standard errors each cell lies from independence, (n − E)/√(E(1 − p_a)(1 − p_b)).

    Returns:
        Shape (…, K_a, K_b), standard normal under independence; NaN where a class is empty or is the
        only one.

    Source:
        Haberman (1973), Biometrics 29(1):205–220.
    """
    table = np.asarray(table, dtype=float)
    e = expected(table)
    n = table.sum(axis=(-2, -1), keepdims=True)
    others_a, others_b = n - table.sum(axis=-1, keepdims=True), n - table.sum(axis=-2, keepdims=True)
    variance = np.divide(e * others_a * others_b, n**2, out=np.full(e.shape, np.nan), where=n > 0)
    return np.divide(table - e, np.sqrt(variance), out=np.full(e.shape, np.nan), where=variance > 0)


def npmi(table: np.ndarray, least: float = 5.0) -> np.ndarray:
    """Normalised pointwise mutual information of each cell, ln(p_ab/p_a p_b)/−ln p_ab.

    Args:
        table: Counts, shape (…, K_a, K_b).
        least: Expected count below which a cell is left NaN: it would show sampling noise.

    Returns:
        Shape (…, K_a, K_b) in [−1, 1]: −1 never together, 0 independent, 1 only together.

    Source:
        Bouma (2009), GSCL.
    """
    table = np.asarray(table, dtype=float)
    e, n = expected(table), table.sum(axis=(-2, -1), keepdims=True)
    shown, seen = e >= least, table > 0
    value = np.where(shown, -1.0, np.nan)
    both = shown & seen & (table < n)
    ratio = np.divide(table, e, out=np.ones_like(e), where=both)
    surprise = -np.log(np.divide(table, n, out=np.full(e.shape, 0.5), where=both))
    value = np.where(both, np.log(ratio) / surprise, value)
    return np.where(shown & seen & ~both, np.nan, value)


def chi2_shares(table: np.ndarray) -> np.ndarray:
    """Share of each cell in χ², (n − E)²/E ÷ χ²: shape (…, K_a, K_b), sums to 1; NaN where χ² is 0."""
    table = np.asarray(table, dtype=float)
    e = expected(table)
    parts = np.divide((table - e) ** 2, e, out=np.zeros_like(e), where=e > 0)
    total = parts.sum(axis=(-2, -1), keepdims=True)
    return np.divide(parts, total, out=np.full(e.shape, np.nan), where=total > 0)


def rake(
    table: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    *,
    strict: bool = True,
    tolerance: float = 1e-10,
    sweeps: int = 5000,
) -> np.ndarray:
    """Scale a table to other margins and keep its odds ratios (iterative proportional fitting).

    Args:
        table: Counts, shape (…, K_a, K_b).
        rows: Wanted row sums, shape (…, K_a).
        columns: Wanted column sums, shape (…, K_b), with the same total.
        strict: Refuse margins that cannot be reached; False gives NaN for such tables.
        tolerance: Largest allowed gap to a margin, as a share of the total.
        sweeps: Most passes over rows and columns.

    Returns:
        Shape (…, K_a, K_b).

    Raises:
        ValueError: If totals differ, a wanted class is empty in the table, or zeros make the margins
            impossible (with ``strict``).

    Source:
        Deming & Stephan (1940), Ann. Math. Stat. 11(4):427–444.
    """
    fitted = np.array(table, dtype=float)
    rows = np.broadcast_to(np.asarray(rows, float), fitted.shape[:-1])
    columns = np.broadcast_to(np.asarray(columns, float), (*fitted.shape[:-2], fitted.shape[-1]))
    total = rows.sum(axis=-1)
    allowed = tolerance * np.where(total > 0, total, 1.0)
    same_total = np.abs(total - columns.sum(axis=-1)) <= 1e-9 * np.where(total > 0, total, 1.0)
    reachable = (
        same_total
        & ~((rows > 0) & (fitted.sum(axis=-1) <= 0)).any(axis=-1)
        & ~((columns > 0) & (fitted.sum(axis=-2) <= 0)).any(axis=-1)
    )
    if strict and not same_total.all():
        raise ValueError(
            "rows and columns must have the same total; "
            f"received {np.ravel(total)[0]:g} and {np.ravel(columns.sum(axis=-1))[0]:g}"
        )
    if strict and not reachable.all():
        raise ValueError("impossible margin: a class that is wanted has no item in the table")
    gap = _margin_gap(fitted, rows, columns)
    for _ in range(sweeps):
        if (gap <= allowed)[reachable].all():
            break
        sums = fitted.sum(axis=-1)
        fitted *= np.divide(rows, sums, out=np.zeros_like(sums), where=sums > 0)[..., None]
        sums = fitted.sum(axis=-2)
        fitted *= np.divide(columns, sums, out=np.zeros_like(sums), where=sums > 0)[..., None, :]
        gap = _margin_gap(fitted, rows, columns)
    missed = ~reachable | (gap > allowed)
    if strict and missed.any():
        raise ValueError(
            f"impossible margin: still off by {gap.max():g} after {sweeps} passes (empty cells?)"
        )
    fitted[missed] = np.nan
    return fitted


def _margin_gap(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.maximum(
        np.abs(table.sum(axis=-1) - rows).max(axis=-1), np.abs(table.sum(axis=-2) - columns).max(axis=-1)
    )
