"""Check the fast forward and backward against the plain model: same loss, same gradients up to bf16; and that the tokenizer beside
is what make_tokenizer.py makes.

usage: check.py FOLDER       (a checkpoint; prints both losses and the cosine of the two gradients)
"""
import filecmp
import os
import sys
import tempfile

import torch
import torch.nn.functional as F

import checkpoint
import data
import fast
import make_tokenizer
from model import Model


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def plain_loss(model, step):
    """Every episode run whole, one by one."""
    total, count = 0.0, 0
    for g in step:
        for branch, said in zip(g.branch, g.said):
            logits = model(torch.cat([g.prefix, branch])[None])[0, len(g.prefix):-1]
            total = total + F.cross_entropy(logits[said[1:]], branch[1:][said[1:]], reduction='sum')
            count += int(said[1:].sum())
    return total / count


def main(folder):
    with tempfile.TemporaryDirectory() as scratch:
        make_tokenizer.main(made := os.path.join(scratch, 'tokenizer.json'))
        if not filecmp.cmp(made, os.path.join(folder, 'tokenizer.json'), shallow=False):
            sys.exit(f'{folder}/tokenizer.json is not what make_tokenizer.py makes')
    model = Model()
    model.load_state_dict(checkpoint.load(folder))   # the experts' values are MXFP4 already
    step = next(data.steps(3, 2500, 3, data.Mix()))
    rows, want = data.targets(step)
    fast_loss, slow_loss = F.cross_entropy(fast.forward(model, step, rows)[0].float(), want), plain_loss(model, step)
    ours, theirs = gradients(model, fast_loss), gradients(model, slow_loss)
    print(f'loss {float(fast_loss):.5f}, plain {float(slow_loss):.5f}; cosine of the gradients {float(F.cosine_similarity(ours, theirs, 0)):.4f}')


if __name__ == '__main__':
    main(sys.argv[1])
