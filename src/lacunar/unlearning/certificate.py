r"""What certified removal may promise: Gaussian noise, its composition, a budget, and what was released.

A released vector is the true one plus :math:`N(0, \sigma^2 I)`. If unlearning and retraining give true vectors at most
:math:`\Delta` apart, what an onlooker can tell about one release is that of telling N(0, 1) from N(μ, 1) with
:math:`\mu = \Delta / \sigma`, and releases compose exactly as :math:`\mu^2 = \sum_t \mu_t^2` (Dong, Roth, Su, Gaussian
Differential Privacy, 2019, arXiv:1905.02383).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import log_ndtr

from lacunar.core.chain import GENESIS
from lacunar.core.errors import BadInput, NotApplicable

ROUNDING = 1e-9


def delta_of(epsilon: float, mu: float) -> float:
    r"""The smallest :math:`\delta` for which a Gaussian mechanism with this :math:`\mu` is :math:`(\epsilon, \delta)`.

    :math:`\Phi(-\epsilon/\mu + \mu/2) - e^\epsilon \Phi(-\epsilon/\mu - \mu/2)` (Balle and Wang, Improving the Gaussian
    Mechanism, ICML 2018, arXiv:1805.06530, theorem 8); exact for every :math:`\epsilon`, in [0, 1).
    """
    if mu == 0:
        return 0.0
    near, far = -epsilon / mu + mu / 2, -epsilon / mu - mu / 2
    return max(float(np.exp(log_ndtr(near)) - np.exp(epsilon + log_ndtr(far))), 0.0)


def mu_of(epsilon: float, delta: float) -> float:
    r"""The largest :math:`\mu` that :math:`(\epsilon, \delta)` allows: the inverse of :func:`delta_of`."""
    _check(epsilon, delta)
    high = 1.0
    while delta_of(epsilon, high) < delta:
        high *= 2
    low = high
    while delta_of(epsilon, low) >= delta:
        low /= 2
    return float(brentq(lambda mu: delta_of(epsilon, mu) - delta, low, high, xtol=1e-15, rtol=1e-14))


def noise_for(epsilon: float, delta: float, sensitivity: float = 1.0, releases: int = 1) -> float:
    r"""The :math:`\sigma` with which ``releases`` releases together are :math:`(\epsilon, \delta)`: exact, not a bound.

    Raises:
        BadInput: :math:`\epsilon \le 0`, :math:`\delta` outside (0, 1), or a sensitivity or count that is not > 0.
    """
    if not sensitivity > 0 or releases < 1:
        raise BadInput(f"a sensitivity > 0 and at least one release are needed, got {sensitivity} and {releases}")
    return sensitivity * math.sqrt(releases) / mu_of(epsilon, delta)


def objective_factor(delta: float) -> float:
    r""":math:`c = \sqrt{2 \ln(1.5 / \delta)}` of objective perturbation: :math:`\sigma = c \beta / \epsilon`."""
    _check(1.0, delta)
    return math.sqrt(2 * math.log(1.5 / delta))


def residual(gradient: NDArray[np.float64]) -> float:
    """The Euclidean norm of a gradient: 0 where it is minimal. Not its square."""
    return float(np.linalg.norm(gradient))


def _check(epsilon: float, delta: float) -> None:
    if not (epsilon > 0 and math.isfinite(epsilon)) or not 0 < delta < 1:
        raise BadInput(f"epsilon must be > 0 and delta between 0 and 1, got {epsilon} and {delta}")


@dataclass(frozen=True)
class Budget:
    r"""How much may be told over all releases, and how much has been.

    Attributes:
        epsilon, delta: what all releases together must satisfy.
        spent: :math:`\sqrt{\sum_t \mu_t^2}` so far.
    """

    epsilon: float
    delta: float
    spent: float = 0.0

    @property
    def allowed(self) -> float:
        r"""The largest :math:`\mu` in all."""
        return mu_of(self.epsilon, self.delta)

    @property
    def left(self) -> float:
        r"""The largest :math:`\mu` that one more release may have."""
        return math.sqrt(max(self.allowed**2 - self.spent**2, 0.0))

    def charged(self, mu: float) -> Budget:
        r"""The budget after a release with this :math:`\mu`.

        Raises:
            NotApplicable: it would be exceeded; nothing is charged.
        """
        total = math.hypot(self.spent, mu)
        if total > self.allowed * (1 + ROUNDING):
            raise NotApplicable(
                f"the budget is spent: a release of mu={mu:.3g} on top of {self.spent:.3g} exceeds the "
                f"{self.allowed:.3g} that epsilon={self.epsilon:g}, delta={self.delta:g} allow; retrain"
            )
        return dataclasses.replace(self, spent=total)


@dataclass(frozen=True)
class Release:
    r"""One entry of the record of a certified model, see :mod:`lacunar.core.chain`.

    Attributes:
        what: "fit", "edit" or "retrain".
        deleted, corrected, columns: ids and columns of the request.
        residual: measured; tolerance: declared, what is charged.
        sigma: of the noise; mu: what the release cost; spent, left: of the budget, after it.
        previous, digest: SHA-256 of the entry before, and of this one without its digest.
    """

    what: str
    deleted: tuple[int, ...]
    corrected: tuple[int, ...]
    columns: tuple[int, ...]
    residual: float
    tolerance: float
    sigma: float
    mu: float
    spent: float
    left: float
    previous: str = GENESIS
    digest: str = ""
