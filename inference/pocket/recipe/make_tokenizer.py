"""Train the pocket tokenizer: byte-level BPE on o200k's splitter, digits never merged, Harmony's control tokens at the end.

usage: make_tokenizer.py OUT.json
"""
import json
import random
import re
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import episodes
import messages

SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CONTROL = ['<|startoftext|>', '<|endoftext|>', '<|return|>', '<|constrain|>', '<|channel|>', '<|start|>', '<|end|>', '<|message|>', '<|call|>']
VOCAB = 2048


def texts():
    """Episodes without control tokens, few of their long system messages, and the tools' texts for plain English."""
    r, out = random.Random(7), []
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


def main(out):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), 'isolated'), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts(), trainers.BpeTrainer(
        vocab_size=VOCAB + 600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=12))
    trained = json.loads(tokenizer.to_str())
    vocab, merges = {c: i for i, c in enumerate(byte_characters())}, []
    for merge in trained['model']['merges']:
        a, b = merge if isinstance(merge, list) else merge.split(' ')
        if any(c.isdigit() for c in a + b) or a not in vocab or b not in vocab:
            continue
        if len(vocab) >= VOCAB - len(CONTROL):
            break
        vocab[a + b] = len(vocab)
        merges.append([a, b])
    trained['model'].update(vocab=vocab, merges=merges, ignore_merges=False)
    trained['added_tokens'] = [dict(id=len(vocab) + i, content=c, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
                               for i, c in enumerate(CONTROL)]
    json.dump(trained, open(out, 'w'), ensure_ascii=False)
    check(Tokenizer.from_file(out))


def check(tokenizer):
    """Every episode must come back from its tokens."""
    r = random.Random(8)
    for _ in range(300):
        text = ''.join(t for t, _ in episodes.episode(r)[1])
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


if __name__ == '__main__':
    main(sys.argv[1])
