r"""Ways to solve :math:`(C + \alpha I) x = b` on ``Named``."""
