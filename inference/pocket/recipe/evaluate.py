"""Share of held-out episodes that a checkpoint gets exactly right.

usage: evaluate.py FOLDER EVAL.jsonl [--show]     (--show prints the first slip of every episode that is not exact)

Greedy and teacher-forced: an episode counts when every token of every assistant piece is the most likely one, which is the same
as a free greedy run with the given tool results. The weights are those of the file (MXFP4 and bf16), the arithmetic is float32.
"""
import argparse
import collections
import json

import torch

import checkpoint
import data
import fast
from model import Model


def pieces(e):
    yield e['prompt'], 0
    for turn in e['turns']:
        yield turn['expect'], 1
        if turn['then']:
            yield turn['then'], 0


def load(path):
    """Episodes of the file as (kind, ids, said)."""
    return [(e['kind'], *data.encode_pieces(list(pieces(e)))) for e in map(json.loads, open(path))]


@torch.no_grad()
def slips(model, ids, said):
    """(index, what the model says) of every token that it gets wrong, in float32."""
    ids, said = torch.tensor(ids), torch.tensor(said, dtype=torch.bool)
    got = model(ids[None, :-1])[0].argmax(-1)
    bad = ((got != ids[1:]) & said[1:]).nonzero()[:, 0]
    return [(int(i) + 1, int(got[i])) for i in bad]


@torch.no_grad()
def slips_as_trained(model, episodes, batch=8):
    """The same for many episodes at once by the trainer's own arithmetic (bf16, experts rounded to MXFP4)."""
    order = sorted(range(len(episodes)), key=lambda i: len(episodes[i][1]))
    out = [None] * len(episodes)
    for k in range(0, len(order), batch):
        some = order[k:k + batch]
        group = data.make_group([([], episodes[i][1], episodes[i][2], []) for i in some])
        rows, want = data.targets([group])
        got = fast.forward(model, [group], rows)[0].argmax(-1)
        branch, query = group.said[:, 1:].nonzero(as_tuple=True)
        for j, i in enumerate(some):
            bad = (branch == j) & (got != want)
            out[i] = [(int(a) + 1, int(g)) for a, g in zip(query[bad], got[bad])]
    return out


def tally(episodes, wrong):
    """Exact episodes per kind as text, and the share of all."""
    right, count = collections.Counter(), collections.Counter()
    for (kind, _, _), bad in zip(episodes, wrong):
        count[kind] += 1
        right[kind] += not bad
    total = sum(count.values())
    each = ' '.join(f'{k} {right[k]}/{count[k]}' for k in sorted(count))
    return f'{each} all {right.total()}/{total}', right.total() / total


def show(kind, ids, bad):
    def text(x):
        return data.TOKENIZER.decode(x, skip_special_tokens=False).replace('\n', '\\n')
    at, got = bad[0]
    print(f'{kind:6}', text(ids[max(0, at - 30):at])[-110:], '| wanted', repr(text(ids[at:at + 6])), 'got', repr(text([got])), f'({len(bad)} slips)')


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('folder')
    p.add_argument('episodes')
    p.add_argument('--show', action='store_true')
    a = p.parse_args()
    model = Model()
    model.load_state_dict(checkpoint.load(a.folder))
    episodes = load(a.episodes)
    wrong = [slips(model, ids, said) for _, ids, said in episodes]
    for (kind, ids, _), bad in zip(episodes, wrong):
        if bad and a.show:
            show(kind, ids, bad)
    print('{} ({:.1%})'.format(*tally(episodes, wrong)))


if __name__ == '__main__':
    main()
