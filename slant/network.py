"""The torch network: a Hugging Face encoder and linear heads over every token."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel


class Network(nn.Module):
    """An encoder with one linear layer that holds the three heads side by side.

    A sentence's logit is the mean of its own tokens' logits: pooling and heads are both linear,
    so heads may come first, and each token's share of a logit is exact.
    """

    def __init__(self, encoder: nn.Module, hidden: int, label_count: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(hidden, label_count)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], label_count: int) -> "Network":
        """Build the network without weights, from the encoder's Hugging Face configuration."""
        settings = dict(config)
        encoder_config = AutoConfig.for_model(settings.pop("model_type"), **settings)
        return cls(AutoModel.from_config(encoder_config, add_pooling_layer=False), encoder_config.hidden_size, label_count)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and attention mask, both (windows, tokens), to logits (windows, tokens, labels)."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state  # (windows, tokens, hidden)
        logits: Tensor = self.heads(self.dropout(states))  # (windows, tokens, labels)
        return logits
