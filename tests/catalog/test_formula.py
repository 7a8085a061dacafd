"""Formulas become one line of Unicode that can be read."""

from __future__ import annotations

import pytest

from lacunar.catalog.formula import readable

CASES = {
    r"\gamma_t = \gamma (1 - t/T)": "γ_t = γ (1 - t/T)",
    r"\lambda \Lambda \Phi": "λ Λ Φ",
    r"x \leftarrow x + \eta\,(G - c)": "x ← x + η (G - c)",
    r"\sum_{\tilde Z} \nabla\ell": "∑_Z̃ ∇ℓ",
    r"\sum_{D_f} \ell_i": "∑_(D_f) ℓ_i",
    r"C_{ii} + s_{<i}": "C_ii + s_(<i)",
    r"H^{-1} v, 10^{-8}, \|\theta\|^2": "H⁻¹ v, 10⁻⁸, ‖θ‖²",
    r"\rho^{t/n} + A^\top + a^k": "ρ^(t/n) + Aᵀ + a^k",
    r"\frac1N + \frac{N_f}{N N_r} + \frac{a+b}{2}": "1/N + N_f/(N N_r) + (a+b)/2",
    r"\frac{\lambda}{2}\|\theta\|": "λ/2 ‖θ‖",
    r"\hat y \bar\phi": "ŷ φ̄",
    r"\mathrm{rank}(s) \text{share} \operatorname{diag}(m)": "rank(s) share diag(m)",
    r"\arg\min L(\theta; D_r)": "argmin L(θ; D_r)",
    r"\big(a \le b\big) \left[c\right]": "(a ≤ b) [c]",
    r"\sqrt{x + 1} \{a\}": "√(x + 1) {a}",
    r"\partial^2_i L": "∂²_i L",
    r"\unheard{x}": r"\unheardx",
    "no formula at all": "no formula at all",
    r"a^": "a",
    r"{a": "a",
}


@pytest.mark.parametrize(("tex", "said"), CASES.items(), ids=list(CASES))
def test_a_formula_can_be_read(tex, said):
    assert readable(tex) == said


def test_a_line_break_stays_where_it_was():
    assert readable("\\sum_{D_c}\n    \\nabla\\ell_i") == "∑_(D_c)\n    ∇ℓ_i"
