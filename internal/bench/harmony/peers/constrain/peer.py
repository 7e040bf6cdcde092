"""Times the peers on the corpus as schemas.go times this project: thread CPU
time, each schema compiled anew, each valid document fed token by token.

    python peer.py input.json > peers.jsonl
"""
import base64
import json
import sys
import time

import llguidance
import torch
import xgrammar

cpu = time.thread_time_ns


def summary(name, metric, xs):
    xs.sort()

    def at(q):
        return xs[min(len(xs) - 1, int(q * len(xs)))]

    print(json.dumps({"implementation": name, "metric": metric, "n": len(xs), "p50": at(.5), "p99": at(.99),
                      "max": xs[-1]}), flush=True)


def run(name, compile, start, mask, accept, cases):
    compiles, masks = [], []
    for case in cases:
        schema = json.dumps(case["schema"], ensure_ascii=False)
        t = cpu()
        try:
            grammar = compile(schema)
        except Exception:
            continue
        compiles.append((cpu() - t) / 1e6)
        for ids in case["tokens"]:
            matcher = start(grammar)
            for i in ids:
                t = cpu()
                mask(matcher)
                masks.append((cpu() - t) / 1e3)
                if not accept(matcher, i):
                    break
    summary(name, "compile ms", compiles)
    summary(name, "mask us", masks)


class Tokens:
    """What llguidance asks of a tokenizer; it never has to encode text here."""

    def __init__(self, vocabulary, end):
        self.tokens = [t or b"\xff<|special_%d|>" % i for i, t in enumerate(vocabulary)]
        self.eos_token_id = end
        self.bos_token_id = None
        self.special_token_ids = [i for i, t in enumerate(vocabulary) if not t]
        self.ids = {t: i for i, t in enumerate(vocabulary) if t}

    def __call__(self, text):
        data, out = text if isinstance(text, bytes) else text.encode(), []
        while data:
            n = next(n for n in range(min(len(data), 128), 0, -1) if data[:n] in self.ids)
            out.append(self.ids[data[:n]])
            data = data[n:]
        return out


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        given = json.load(f)
    vocabulary = [base64.b64decode(t) if t else b"" for t in given["vocabulary"]]
    cases, end = given["cases"], given["end"]

    wrapped = llguidance.TokenizerWrapper(Tokens(vocabulary, end))
    tokenizer = llguidance.LLTokenizer(wrapped)
    bits = torch.zeros((len(vocabulary) + 31) // 32, dtype=torch.int32)

    def compile_llguidance(schema):
        grammar = llguidance.LLMatcher.grammar_from_json_schema(
            schema, defaults={"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"})
        matcher = llguidance.LLMatcher(tokenizer, grammar)
        if matcher.is_error():
            raise ValueError(matcher.get_error())
        return matcher

    run("llguidance 1.9.1", compile_llguidance, lambda m: m.deep_copy(),
        lambda m: m.unsafe_compute_mask_ptr(bits.data_ptr(), bits.numel() * 4),
        lambda m, i: m.consume_token(i), cases)

    info = xgrammar.TokenizerInfo(vocabulary, vocab_type=xgrammar.VocabType.RAW, vocab_size=len(vocabulary),
                                  stop_token_ids=[end])
    compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
    bitmask = xgrammar.allocate_token_bitmask(1, len(vocabulary))
    run("xgrammar 0.2.8",
        lambda schema: compiler.compile_json_schema(schema, any_whitespace=False, separators=(",", ":"), strict_mode=False),
        lambda g: xgrammar.GrammarMatcher(g),
        lambda m: m.fill_next_token_bitmask(bitmask),
        lambda m, i: m.accept_token(i), cases)


if __name__ == "__main__":
    main()
