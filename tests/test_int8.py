"""The int8 form of a network."""

import torch
from transformers import BertConfig

from slant.network import Network
from training.int8 import int8


def test_shifts_and_factors_change_nothing_but_by_rounding() -> None:
    """Before onnxruntime makes the inputs int8 there is nothing but the weights' rounding, however large a channel is."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=90, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    network = Network.from_config(config.to_dict(), 5).eval()
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if name.endswith("LayerNorm.bias"):
                tensor[3] = 30.0  # of every token
        network.encoder.get_input_embeddings().weight[7] *= 40  # type: ignore[operator]
    windows = [torch.randint(0, 90, (20,)).tolist() for _ in range(30)]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    found = int8(network, windows)

    ids = torch.tensor([windows[0]])
    with torch.inference_mode():
        exact, near = network(ids, torch.ones_like(ids)), found(ids, torch.ones_like(ids))
    assert (exact - near).abs().max() < 0.02 * exact.std()
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())  # left as it was
    again = int8(network, windows)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in found.state_dict().items())
