"""Move a training state to another tokenizer with as many ids, so that it can be trained on.

usage: retokenize.py STATE OLD.json NEW.json OUT

A token that both have keeps its rows of the embedding and the head; a new one begins as the old pieces of its text: their mean in
the embedding, the first of them in the head.
"""
import sys

import torch
from tokenizers import Tokenizer

from model import Model
from optim import is_inner

ROWS = 'embed.weight', 'head.weight'


def sources(old, new):
    """For every new id the old ids that it begins as."""
    known, out = old.get_vocab(), []
    for token, _ in sorted(new.get_vocab().items(), key=lambda item: item[1]):
        spaced = known.get('Ġ' + token)   # the same word, so far only behind a space
        out.append([known[token]] if token in known else [spaced] if spaced else [piece.id for piece in old.model.tokenize(token)])
    return out


def moved(name, rows, begin):
    return torch.stack([rows[ids[0]] if name == 'head.weight' else rows[ids].mean(0) for ids in begin])


def main(state, old, new, out):
    state, begin = torch.load(state), sources(Tokenizer.from_file(old), Tokenizer.from_file(new))
    for weights in state['model'], state['mean']:
        weights.update({name: moved(name, weights[name], begin) for name in ROWS})
    outer = [name for name, p in Model().named_parameters() if not is_inner(name, p)]
    for moments in state['optimizer']['first'], state['optimizer']['second']:
        for name, m in zip(outer, moments):
            if name in ROWS:
                m.copy_(moved(name, m, begin))
    torch.save(state, out)


if __name__ == '__main__':
    main(*sys.argv[1:])
