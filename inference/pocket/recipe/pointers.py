"""Where the words that the model must say come from: for tokens copied from earlier text, the tokens they are copied from.

The trainer uses this to teach a few attention heads where to look (see fast.Attend), which a model of this size learns slowly
from the next-token loss alone.
"""
import functools
import random
import re

import episodes
import functions
import vocabulary as v

CONTROL = re.compile(r'<\|[a-z]+\|>')
WORD = re.compile(r'(?<![A-Za-z_])[A-Za-z]+(?:_[A-Za-z]+)*|(?<!\d)\d+')
MOST = 6   # a word that occurs more often than this teaches nothing


@functools.cache
def formulas():
    """Words that belong to the form of the answers, not to their content."""
    r, seen = random.Random(0), {}
    content = {w.lower() for w in v.WORDS + v.NAMES + v.CITIES + functions.VERBS + functions.NOUNS} | {p[0] for p in functions.PARAMS}
    for _ in range(1500):
        for w in {w.lower() for text, said in episodes.episode(r)[1] if said for w in WORD.findall(CONTROL.sub(' ', text))}:
            seen[w] = seen.get(w, 0) + 1
    return {w for w, n in seen.items() if n > 5 and not w.isdigit() and w not in content} | {'to'}


def blank(text):
    """The text with its control tokens made spaces, so that offsets stay."""
    return CONTROL.sub(lambda m: ' ' * len(m[0]), text)


SOURCE, NEXT = 0, 1   # the token that a said token is copied from; the one after it, which tells how the copy must be split


def pairs(pieces, spans):
    """(query, key, role) token numbers of the pieces' copied tokens; spans: (first, last) character of every token of the text.

    The query is the token before the said one. Where a word occurs several times, every occurrence is a source.
    """
    text = blank(''.join(t for t, _ in pieces))
    token_at = {c: i for i, (a, b) in reversed(list(enumerate(spans))) for c in range(a, b)}
    places = {}
    for m in WORD.finditer(text):
        places.setdefault(m[0].lower(), []).append(m.start())
    out, start = set(), 0
    for piece, said in pieces:
        for word, at in copied(blank(piece)) if said else []:
            sources = earlier(text, places, word, start, blank(piece)[at - 1:at])
            if sources:
                out.update(of_word(token_at, spans, start + at, len(word), sources))
                after = start + at + len(word)
                if after < start + len(piece) and text[after] != ' ' and token_at[after] != token_at[after - 1]:
                    # what follows the word at its source tells whether more is to come
                    out.update((token_at[after - 1], token_at[s + len(word)], SOURCE) for s in sources)
        start += len(piece)
    return sorted(out)


def copied(text):
    """(word, offset) of the words that may be copies."""
    return [(m[0].lower(), m.start()) for m in WORD.finditer(text) if m[0].lower() not in formulas()]


def earlier(text, places, word, start, before):
    """Offsets where the word stands before `start`; none when there are too many to learn from."""
    if before == 'L':   # the number of a line: at the line's start
        found = [m.start(1) for m in re.finditer(rf'\nL({word}): ', text[:start])]
    else:
        found = [s for s in places[word] if s < start]
    most = 2 if word.isdigit() and len(word) == 1 else MOST
    return found if len(found) <= most and before != '【' else []


def of_word(token_at, spans, at, length, sources):
    """Pairs for every token of one said word at offset `at`."""
    seen = set()
    for k in range(length):
        token = token_at[at + k]
        if token in seen:
            continue
        seen.add(token)
        for s in sources:
            key = token_at[s + k]
            yield token - 1, key, SOURCE
            if spans[key][1] < s + length:
                yield token - 1, key + 1, NEXT
