"""Train pocket on a CPU: single-threaded workers share one set of weights and step it in turn.

usage: train.py MINUTES [--start FOLDER_OR_STATE] [options]; see the README and --help.

Writes STATE (all that is needed to go on) every few minutes and, at every evaluation and at the end, the exported folder. The
learning rate warms up, holds and falls to nothing over the last part of the time given. Evaluated and exported is the running
mean of the weights, with the experts rounded to MXFP4 as they are in every step.
"""
import argparse
import contextlib
import os
import time

os.environ.setdefault('OMP_NUM_THREADS', '1')   # before torch: more threads only wait for each other here
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import checkpoint
import data
import evaluate
import fast
import pointers
from model import Model
from optim import Optimizer

WARMUP = 40       # steps
BALANCE = .01     # weight of the routers' balance loss
ROLES = dict(source=pointers.SOURCE, next=pointers.NEXT, owner=pointers.OWNER)


def options():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('minutes', type=float)
    p.add_argument('--start', help='an exported folder, or a STATE file to go on from')
    p.add_argument('--from-mean', action='store_true', help='of a STATE take the running mean as the weights')
    p.add_argument('--state', default='state.pt')
    p.add_argument('--out', default='export')
    p.add_argument('--eval', required=True, help='held-out episodes (make_eval.py)')
    p.add_argument('--eval-every', type=float, default=10, metavar='MINUTES')
    p.add_argument('--workers', type=int, default=2)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--budget', type=int, default=6144, help='tokens of a step')
    p.add_argument('--groups', type=int, default=2, help='groups (system messages) of a step, about')
    p.add_argument('--muon-lr', type=float, default=2e-3)
    p.add_argument('--adam-lr', type=float, default=7e-4)
    p.add_argument('--fall', type=float, default=1.0, help='share of the time over which the learning rate falls')
    p.add_argument('--mean', type=float, default=.995, help='decay of the running mean of the weights')
    p.add_argument('--focus', type=float, default=1, help='a token of probability p counts 1 + FOCUS * (1 - p)')
    p.add_argument('--teach', default='1:012456:source:.02,1:37:next:.05,2:04:owner:.1,3:0145:source:.1,3:26:next:.1',
                   help='LAYER:HEADS:ROLE:WEIGHT,...: heads that are taught where copied tokens come from')
    p.add_argument('--drilled', type=float, default=.25, help='share of drills')
    p.add_argument('--random', type=float, default=.5, help='share of random letter strings among words')
    p.add_argument('--drilled-random', type=float, default=.8, help='the same in drills')
    p.add_argument('--repeated', type=float, default=.3, help='share of numbers with few different digits in drills')
    p.add_argument('--short', type=float, default=.4, help='share of system messages without tool texts')
    p.add_argument('--keep', default='py=.8,chat=.8', help='KIND=CHANCE,... of keeping an episode of a kind')
    return p.parse_args()


class Log:
    """Running means of what the steps report, printed now and then."""

    def __init__(self, rank):
        self.rank, self.means, self.tokens, self.steps, self.since = rank, {}, 0, 0, time.time()

    def add(self, step, tokens, **values):
        for k, v in values.items():
            self.means[k] = .97 * self.means.get(k, v) + .03 * v
        self.tokens, self.steps = self.tokens + tokens, self.steps + 1
        if self.steps % 10 == 0:
            said = ' '.join(f'{k} {v:.4f}' for k, v in self.means.items())
            print(f'{time.strftime("%H:%M:%S")} worker {self.rank} step {step} {said} tokens/s {self.tokens / (time.time() - self.since):.0f}', flush=True)
            self.tokens, self.since = 0, time.time()


def learning_rate(spent, step, fall):
    return min(1, (step + 1) / WARMUP) * min(1.0, max(0.0, (1 - spent) / fall))


def one_step(model, step, a, plan):
    """Forward and backward of one step; returns what the log shows."""
    rows, want = data.targets(step)
    lessons = {layer: fast.Lesson([(h, role, w / len(rows)) for h, role, w in parts]) for layer, parts in plan.items()}
    logits, balance = fast.forward(model, step, rows, lessons)
    each = F.cross_entropy(logits.float(), want, reduction='none')
    weight = 1 + a.focus * (1 - (-each.detach()).exp())
    ((each * weight).mean() + BALANCE * balance).backward()
    right = (logits.detach().argmax(-1) == want).float().mean()
    looks = {f'looks{layer}.{i}': x for layer, l in lessons.items() for i, x in enumerate(l.shares())}
    return dict(loss=float(each.detach().mean()), right=float(right), balance=float(balance.detach()), **looks)


def worker(rank, a, model, mean, optimizer, lock, seen, begin):
    with contextlib.suppress(OSError):
        os.setsid()   # a worker shares the processor with others as one program of its own does
    torch.set_num_threads(1)
    plan = {}
    for layer, heads, role, weight in (x.split(':') for x in a.teach.split(',') if x):
        plan.setdefault(int(layer), []).append(([int(h) for h in heads], ROLES[role], float(weight)))
    mix = data.Mix({k: float(v) for k, v in (x.split('=') for x in a.keep.split(',') if x)}, a.drilled, a.random, a.drilled_random, a.repeated, a.short)
    steps, log = data.start(a.seed + 1000 * rank, a.budget, a.groups, mix), Log(rank)
    held_out = evaluate.load(a.eval) if rank == 0 else []
    evaluated = saved = time.time()
    while (spent := (time.time() - begin) / (a.minutes * 60)) < 1:
        step = next(steps)
        values = one_step(model, step, a, plan)
        factor = learning_rate(spent, int(optimizer.count), a.fall)
        optimizer.step(a.muon_lr * factor, a.adam_lr * factor)
        model.zero_grad(set_to_none=True)
        tokens = sum(map(data.tokens, step))
        with lock, torch.no_grad():
            torch._foreach_lerp_(list(mean.parameters()), list(model.parameters()), 1 - a.mean)
            seen += torch.tensor([tokens, sum(len(g.branch) for g in step)])
        log.add(int(optimizer.count), tokens, **values, rate=factor)
        if rank == 0 and time.time() - saved > 150:
            save(a, model, mean, optimizer, seen)
            saved = time.time()
        if rank == 0 and time.time() - evaluated > a.eval_every * 60:
            judge(a, mean, held_out, optimizer, seen)
            evaluated = time.time()


def judge(a, mean, held_out, optimizer, seen):
    """Evaluate and export the running mean."""
    text, share = evaluate.tally(held_out, evaluate.slips_as_trained(mean, held_out))
    print(f'{time.strftime("%H:%M:%S")} step {int(optimizer.count)} {seen[0] / 1e6:.1f} M tokens {seen[1] / 1e3:.0f} k episodes: {text} ({share:.1%})', flush=True)
    checkpoint.save(mean.state_dict(), a.out, data.TOKENIZER_FILE)


def save(a, model, mean, optimizer, seen):
    torch.save(dict(model=model.state_dict(), mean=mean.state_dict(), optimizer=optimizer.state(), seen=seen), a.state + '.new')
    os.replace(a.state + '.new', a.state)


def begin_from(a, model, mean, optimizer, seen):
    if not a.start:
        return mean.load_state_dict(model.state_dict())
    if os.path.isdir(a.start):
        weights = checkpoint.load(a.start)
        return model.load_state_dict(weights), mean.load_state_dict(weights)
    state = torch.load(a.start)
    model.load_state_dict(state['mean' if a.from_mean else 'model'])
    mean.load_state_dict(state['mean'])
    optimizer.load(state['optimizer'])
    seen.copy_(state['seen'])


def main():
    a, begin = options(), time.time()
    mp.set_start_method('spawn')
    torch.manual_seed(a.seed)
    model, mean, lock = Model(), Model(), mp.Lock()
    optimizer, seen = Optimizer(model, lock), torch.zeros(2, dtype=torch.int64).share_memory_()
    begin_from(a, model, mean, optimizer, seen)
    model.share_memory(), mean.share_memory()
    workers = [mp.Process(target=worker, args=(i, a, model, mean, optimizer, lock, seen, begin)) for i in range(a.workers)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    save(a, model, mean, optimizer, seen)
    judge(a, mean, evaluate.load(a.eval), optimizer, seen)


if __name__ == '__main__':
    main()
