r"""Ways to solve :math:`(C + \alpha I) x = b` on ``Named``: each is a value with one verb, ``solve``.

``C`` sums over examples, so :math:`\alpha` is in the same units; a damping :math:`\mu` per example is
:math:`\alpha = n \mu`.
"""
