"""Train the pocket tokenizer: byte-level BPE on o200k's splitter, digits never merged, Harmony's control tokens at the end.

usage: make_tokenizer.py OUT.json
"""
import collections
import json
import random
import re
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import episodes
import messages
import vocabulary

SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ['<|startoftext|>', '<|endoftext|>', '<|return|>', '<|constrain|>', '<|channel|>', '<|start|>', '<|end|>', '<|message|>', '<|call|>']
VOCAB = 2048
PIECES = 1330   # merges inside runs of letters or of other characters; the rest join a word with the character before it


def texts():
    """Episodes of real words, without control tokens and with few of their long system messages, and the tools' texts."""
    r, out = random.Random(7), []
    vocabulary.RANDOM = 0
    for _ in range(6000):
        for i, (text, _) in enumerate(episodes.episode(r)[1]):
            if i or r.random() <= .05:
                out.append(re.sub(r'<\|[a-z]+\|>', '\n', text))
    return out + [messages.PYTHON_TOOL, messages.BROWSER_TOOL] * 20


def byte_characters():
    """GPT-2's character for each of the 256 bytes."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in shown]
    table = {b: chr(b) for b in shown} | {b: chr(256 + n) for n, b in enumerate(hidden)}
    return [table[b] for b in range(256)]


def pieces(corpus):
    """Merges, most frequent first, learned where letters and other characters are kept apart."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitter(pre_tokenizers.Split(Regex(r'\p{L}+|[^\p{L}]+'), 'isolated'))
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=VOCAB + 600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=12))
    for merge in json.loads(tokenizer.to_str())['model']['merges']:
        yield merge if isinstance(merge, list) else merge.split(' ')


def joints(corpus, vocab):
    """Merges of a character with the whole word behind it, most frequent first.

    They come after all others, so that a string is split alike behind a space, a quotation mark and at the start of a line: the
    model copies tokens, and need not respell them.
    """
    count = collections.Counter()
    for text in corpus:
        for pretoken in re.split(r'(?<=[A-Za-z])(?![A-Za-z])', text):
            if m := re.search(r'([^\r\nA-Za-z0-9])([A-Za-z]{2,})$', pretoken):
                count[m[1].replace(' ', 'Ġ'), m[2]] += 1
    return [pair for pair, n in count.most_common() if n >= 12 and pair[0] in vocab and pair[1] in vocab]


def splitter(*more):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), 'isolated'), *more, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def main(out):
    corpus = texts()
    vocab, merges = {c: i for i, c in enumerate(byte_characters())}, []

    def add(found, most):
        for a, b in found:
            if len(merges) == most:
                break
            if a in vocab and b in vocab and a + b not in vocab and not any(c.isdigit() for c in a + b):
                vocab[a + b] = len(vocab)
                merges.append([a, b])

    add(pieces(corpus), PIECES)
    add(joints(corpus, vocab), VOCAB - len(CONTROL) - 256)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = splitter(), decoders.ByteLevel()
    whole = json.loads(tokenizer.to_str())
    whole['model'].update(vocab=vocab, merges=merges, ignore_merges=False)
    whole['added_tokens'] = [dict(id=len(vocab) + i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
                             for i, c in enumerate(CONTROL)]
    json.dump(whole, open(out, 'w'), ensure_ascii=False)
    check(Tokenizer.from_file(out))


def check(tokenizer):
    """Every episode must come back from its tokens."""
    r = random.Random(8)
    for _ in range(300):
        text = ''.join(t for t, _ in episodes.episode(r)[1])
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


if __name__ == '__main__':
    main(sys.argv[1])
