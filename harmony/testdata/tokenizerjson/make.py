"""Writes NAME.jsonl.gz beside each NAME.json (a tokenizer.json): texts and what
the library `tokenizers` (PyPI, 0.23.3) makes of them. The texts are those of
../tokenizer/o200k_harmony.jsonl, the sources of this package, and random
strings of a few alphabets. The special tokens are taken out of the file first,
so that the oracle too reads their names as ordinary text.

    python -m venv v && v/bin/pip install tokenizers && v/bin/python make.py
"""
import glob, gzip, json, os, random
from tokenizers import Tokenizer

here = os.path.dirname(os.path.abspath(__file__))
texts = [json.loads(l)["text"] for l in open(here + "/../tokenizer/o200k_harmony.jsonl").read().split("\n") if l]
for f in sorted(glob.glob(here + "/../../*.go")):
    lines = open(f).read().split("\n")
    texts += ["\n".join(lines[i:i + 12]) for i in range(0, len(lines), 60)]
r = random.Random(1)
for alphabet in ("ab", " a\n", "aA'sTl ", "01a ", "éàß日本 's", "{}\":, json", " \t\r\n\u3000\u0085", "\u0301aª!", "<|end>start", "🙂👩‍💻 x"):
    texts += ["".join(r.choice(alphabet) for _ in range(r.randrange(1, 40))) for _ in range(40)]
texts += [c * n for c in " a=\n" for n in (95, 96, 97, 300)]
for path in sorted(glob.glob(here + "/*.json")):
    j = json.load(open(path))
    j["added_tokens"] = []
    t = Tokenizer.from_str(json.dumps(j))
    lines = [json.dumps({"text": s, "tokens": t.encode(s, add_special_tokens=False).ids}, ensure_ascii=False) for s in texts]
    with open(path + "l.gz", "wb") as out:
        out.write(gzip.compress(("\n".join(lines) + "\n").encode(), mtime=0))
