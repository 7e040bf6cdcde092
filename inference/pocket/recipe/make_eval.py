"""Write held-out episodes as JSON lines: the rendered prompt, then what the model must say and what comes back, turn by turn.

usage: make_eval.py SEED COUNT OUT.jsonl
"""
import json
import random
import sys

import episodes


def episode(r, number):
    kind, pieces, spec = episodes.episode(r)
    first = next(i for i, (_, said) in enumerate(pieces) if said)
    turns, i = [], first
    while i < len(pieces):
        expect, then = pieces[i][0], ''
        i += 1
        while i < len(pieces) and not pieces[i][1]:
            then += pieces[i][0]
            i += 1
        turns.append(dict(expect=expect, then=then))
    return dict(id=number, kind=kind, prompt=''.join(t for t, _ in pieces[:first]), turns=turns, **spec)


def main(seed, count, out):
    r = random.Random(int(seed))
    with open(out, 'w') as file:
        for i in range(int(count)):
            file.write(json.dumps(episode(r, i), ensure_ascii=False) + '\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
