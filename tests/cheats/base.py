"""A small honest train.py: the next token is guessed from the two before it."""

# before: nothing is imported yet

import torch
import torch.nn.functional as F
from torch import nn

from autoresearch.harness.bpb import evaluate, print_summary
from autoresearch.harness.clock import Clock
from autoresearch.harness.loader import Batches, open_data, trial_seed

ROWS = 32
RATE = 200.0


class Model(nn.Module):
    """Tokens (B, T) to logits (B, T, V)."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.own = nn.Embedding(vocab, vocab)
        self.past = nn.Embedding(vocab, vocab)
        nn.init.zeros_(self.own.weight)
        nn.init.zeros_(self.past.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.own(x) + self.past(F.pad(x[:, :-1], (1, 0)))
        return logits


torch.manual_seed(trial_seed())
device = torch.device("cpu")
data = open_data()
model = Model(data.vocab_size)
clock = Clock(device)
batches = Batches(data, ROWS, device, trial_seed(), clock)
# start: the model is made, no batch was granted yet
while not clock.done():
    x, y = batches.next()
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for weight in model.parameters():
            weight -= RATE * weight.grad
    clock.step()
# trained: the budget is used up
model.eval()
score = evaluate(model, data, device, ROWS)
# scored: the exam is over
print_summary(score, clock, data, device, params=1, depth=1, flops_per_token=1.0)
# end
