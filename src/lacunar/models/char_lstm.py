"""A recurrent next-character model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lacunar.core.errors import BadInput
from lacunar.data.characters import SYMBOLS, State
from lacunar.training.architecture import Architecture


@dataclass(frozen=True)
class CharLstm(Architecture):
    """An embedding, ``layers`` LSTM layers of ``hidden`` units, and a linear head over the alphabet at each position.

    Takes codes ``[n, length]`` of :mod:`lacunar.data.characters`, gives logits ``[n, length, symbols]``, and can go on
    from where it stands (:class:`lacunar.data.characters.Stepwise`). The alphabet is fixed, whatever the data have.

    Attributes:
        symbols: size of the alphabet.
        embedding: width of the embedding.
        hidden: units of each LSTM layer.
        layers: LSTM layers.
    """

    symbols: int = SYMBOLS
    embedding: int = 32
    hidden: int = 128
    layers: int = 1

    def __post_init__(self) -> None:
        for name in ("symbols", "embedding", "hidden", "layers"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} must be at least 1, got {getattr(self, name)}")

    def build(self) -> nn.Module:
        return CharacterNet(self.symbols, self.embedding, self.hidden, self.layers)


class CharacterNet(nn.Module):
    """The net that :class:`CharLstm` builds."""

    def __init__(self, symbols: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, codes: Tensor) -> Tensor:
        return self.advance(codes)[0]

    def advance(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits ``[n, length, symbols]`` for what follows each of ``codes [n, length]``, and the state after the last.

        A state is (h, c), each ``[n, layers, hidden]``.
        """
        start = None if state is None else tuple(part.transpose(0, 1).contiguous() for part in state)
        out, after = self.lstm(self.embed(codes), start)
        return self.head(out), tuple(part.transpose(0, 1) for part in after)
