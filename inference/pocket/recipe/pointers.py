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
CALL = re.compile(r'<\|channel\|>commentary to=functions\.(\w+) ')
DECLARED = re.compile(r'^type (\w+) = \(_: \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
CALLED = re.compile(r'to=functions\.(\w+) <\|constrain\|>json<\|message\|>(\{.*?\})<\|call\|>')
KEY = re.compile(r'(?<=[{ ]")([a-z_]+)(?=": )')
RESULT = re.compile(r'<\|start\|>(?:functions\.|python|browser)')
WINDOW = 120   # tokens: nearer than the sliding window of the layer that is taught
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


# The token that a said token is copied from; the one after it, which tells how the copy goes on; for a parameter's name, in a
# declaration and before it is said in a call, the name of its function, by which the two find each other.
SOURCE, NEXT, OWNER = 0, 1, 2


def pairs(pieces, spans):
    """(query, key, role) token numbers of the pieces' copied tokens; spans: (first, last) character of every token of the text.

    The query is the token before the said one. Where a word occurs several times, every occurrence is a source.
    """
    raw = ''.join(t for t, _ in pieces)
    text = blank(raw)
    token_at = {c: i for i, (a, b) in reversed(list(enumerate(spans))) for c in range(a, b)}
    places = {}
    for m in WORD.finditer(text):
        places.setdefault(m[0].lower(), []).append(m.start())
    out, start = set(owners(raw, token_at)), 0
    for piece, said in pieces:
        declared = parameters(piece, raw[:start])
        if said:
            out.update(nouns(raw, token_at, start, start + len(piece)))
        for word, at in copied(blank(piece)) if said else []:
            sources = declared.get(at) or reported(piece, raw[:start], earlier(text, places, word, start, blank(piece)[at - 1:at]))
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
    return [(m[0].lower(), m.start()) for m in WORD.finditer(text) if m[0].lower() not in formulas() or m[0] == 'to' and text[m.start() - 1] == '"']


def nouns(text, token_at, start, end):
    """(query, key, SOURCE) for what a request calls the thing that a function is named after: "the door" for open_door."""
    asked = text.rfind('<|start|>user', 0, start)
    for m in re.compile(r'(?:call |functions\.)[a-z_]+?(_?)([a-z]+|[A-Z][a-z]+)(?![A-Za-z_])').finditer(text, start, end):
        for source in re.finditer(rf'the {m[2]}\b', text[asked:start], re.IGNORECASE) if asked >= 0 else ():
            at = asked + source.start() + 4
            if m[1]:
                yield token_at[m.start(1)] - 1, token_at[at], SOURCE
            for c in range(len(m[2])):
                yield token_at[m.start(2) + c] - 1, token_at[at + c], SOURCE


def owners(text, token_at):
    """(query, key, OWNER) for the parameters of declarations and calls; text: of all pieces."""
    for m in DECLARED.finditer(text):
        for p in re.finditer(r'^([a-z_]+)\??: ', m[2], re.MULTILINE):
            yield from owned(token_at, token_at[m.start(2) + p.start(1)], m.span(1))
    for m in CALLED.finditer(text):
        for p in KEY.finditer(m[2]):
            yield from owned(token_at, token_at[m.start(2) + p.start(1)] - 1, m.span(1))


def owned(token_at, query, name):
    return {(query, token_at[c], OWNER) for c in range(*name) if 0 < query - token_at[c] < WINDOW}


def parameters(piece, before):
    """Offset of every parameter's name in a call -> the places where the called function's declaration names it."""
    call = CALL.match(piece)
    declaration = call and re.search(rf'\ntype {call[1]} = \(_: {{\n.*?\n}}\) => any;', before, re.DOTALL)
    if not declaration:
        return {}
    named = {m[1]: m.start(1) for m in re.finditer(r'^([a-z_]+)\??: ', declaration[0], re.MULTILINE)}
    return {m.start(1): [declaration.start() + named[m[1]]] for m in KEY.finditer(piece) if m[1] in named}


def earlier(text, places, word, start, before):
    """Offsets where the word stands before `start`; none when there are too many to learn from."""
    if before == 'L':   # the number of a line: at the line's start
        found = [m.start(1) for m in re.finditer(rf'\nL({word}): ', text[:start])]
    else:
        found = [s for s in places[word] if s < start]
    most = 2 if word.isdigit() and len(word) == 1 else MOST
    return found if len(found) <= most and before != '【' else []


def reported(piece, before, sources):
    """Of the sources of a final answer those in the results since the last question, if any are there."""
    results = RESULT.search(before, before.rfind('<|start|>user'))
    since = [s for s in sources if s >= results.start()] if results and 'final' in piece[:20] else []
    return since or sources


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
