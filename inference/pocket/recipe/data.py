"""Batches of episodes for fast.forward: episodes of one setting share one system message.

Episodes are drawn as `episodes.episode` draws them and put into buckets by what their system message depends on (tools, effort,
whether there are functions). A full bucket becomes groups; all episodes of a group get the system message of its first: its date
and identity lines are drawn independently of all else, so every episode keeps its distribution.
"""
import multiprocessing
import os
import random
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from tokenizers import Tokenizer

import drills
import episodes
import messages
import pointers
import vocabulary

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENIZER_FILE = os.path.join(HERE, '..', 'tokenizer.json')
TOKENIZER = Tokenizer.from_file(TOKENIZER_FILE)
LONGEST = 512   # tokens of an episode behind its system message; longer ones are left out
POOL = 48       # groups from which the next is drawn


@dataclass
class Mix:
    """What is trained on."""
    keep: dict = field(default_factory=dict)   # kind -> chance of keeping a drawn episode (1 when absent)
    drilled: float = 0.0                       # share of drills among the draws
    random: float = .4                         # share of random letter strings among words
    drilled_random: float = .8                 # the same in drills
    repeated: float = 0.0                      # share of numbers with few different digits in drills
    short: float = 0.0                         # share of system messages without their long tool texts


class Group(NamedTuple):
    prefix: torch.Tensor    # [tp] ids of the system message
    branch: torch.Tensor    # [b, t] ids of what follows in b episodes
    said: torch.Tensor      # [b, t] whether the model must say the token
    pairs: torch.Tensor     # [n, 4] (branch, query, key, role) of copied tokens, see pointers


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False).ids


def encode_pieces(pieces):
    """Token ids and, for each, whether the model must say it."""
    ids, said = [], []
    for text, trained in pieces:
        e = encode(text)
        ids += e
        said += [trained] * len(e)
    return ids, said


def encode_with_sources(pieces):
    """As encode_pieces, and the (query, key, role) pairs of copied tokens."""
    ids, said, spans, at = [], [], [], 0
    for text, trained in pieces:
        e = TOKENIZER.encode(text, add_special_tokens=False)
        ids += e.ids
        said += [trained] * len(e.ids)
        spans += [(at + a, at + b) for a, b in e.offsets]
        at += len(text)
    return ids, said, pointers.pairs(pieces, spans)


def make_group(members):
    """Episodes as (system ids, branch ids, said, pairs) -> Group; branches are padded to a multiple of 32."""
    t = -(-max(len(ids) for _, ids, _, _ in members) // 32) * 32
    branch, said = torch.zeros(len(members), t, dtype=torch.long), torch.zeros(len(members), t, dtype=torch.bool)
    pairs = [(i, *pair) for i, m in enumerate(members) for pair in m[3]]
    for i, (_, ids, s, _) in enumerate(members):
        branch[i, :len(ids)] = torch.tensor(ids)
        said[i, :len(s)] = torch.tensor(s, dtype=torch.bool)
    return Group(torch.tensor(members[0][0], dtype=torch.long), branch, said, torch.tensor(pairs, dtype=torch.long).reshape(-1, 4))


def groups(seed, rows, mix):
    """Endless groups of about `rows` branch tokens."""
    r, buckets = random.Random(seed), {}
    while True:
        drilled = r.random() < mix.drilled
        vocabulary.RANDOM = mix.drilled_random if drilled else mix.random
        vocabulary.REPEATED = mix.repeated if drilled else 0
        kind, pieces, spec = drills.drill(r) if drilled else episodes.episode(r)
        if not drilled and r.random() > mix.keep.get(kind, 1):
            continue
        ids, said, pairs = encode_with_sources(pieces[1:])
        if len(ids) > LONGEST:
            continue
        key = drilled, tuple(spec.get('tools', ['none'])), spec.get('effort'), bool(spec.get('functions'))
        bucket = buckets.setdefault(key, [])
        bucket.append((encode(pieces[0][0]), ids, said, pairs))
        if sum(len(b[1]) for b in bucket) >= 3 * rows:
            parts = divide(buckets.pop(key), rows * 1.15)
            r.shuffle(parts)
            for members in parts:
                yield make_group(members)


def divide(bucket, rows):
    """Episodes of like length together, so that little is padded."""
    bucket.sort(key=lambda b: len(b[1]))
    parts = [[]]
    for b in bucket:
        if parts[-1] and (len(parts[-1]) + 1) * (-(-len(b[1]) // 32) * 32) > rows:
            parts.append([])
        parts[-1].append(b)
    return parts


def steps(seed, budget, per_step, mix):
    """Endless steps: lists of about `per_step` groups with about `budget` tokens in all, drawn at random from a pool."""
    r, source, pool = random.Random(seed + 1), groups(seed, budget // per_step, mix), []
    while True:
        while len(pool) < POOL:
            pool.append(next(source))
        step, size = [], 0
        while size < budget * .85:
            g = pool.pop(r.randrange(len(pool)))
            size += tokens(g)
            step.append(g)
        yield step


def tokens(group):
    return len(group.prefix) + group.branch.numel()


def targets(step):
    """Flat row numbers to predict from, and the tokens to predict, for a step laid out by fast.layout."""
    rows, want, at = [], [], 0
    for g in step:
        at += -(-len(g.prefix) // 32) * 32
        i, j = g.said[:, 1:].nonzero(as_tuple=True)
        rows.append(at + i * g.branch.shape[1] + j)
        want.append(g.branch[i, j + 1])
        at += g.branch.numel()
    return torch.cat(rows), torch.cat(want)


def start(*args):
    """The same as `steps`, drawn by a process of its own."""
    context = multiprocessing.get_context('spawn')
    queue = context.Queue(24)
    context.Process(target=_draw, args=(queue, *args), daemon=True).start()
    while True:
        yield [Group(*map(torch.from_numpy, g)) for g in queue.get()]


def _draw(queue, seed, budget, per_step, mix):
    torch.set_num_threads(1)
    messages.SHORT = mix.short
    for step in steps(seed, budget, per_step, mix):
        queue.put([tuple(t.numpy() for t in g) for g in step])
