"""The Python libraries, for the benchmark beside us: see ../../peers.go.

    peer.py FOLDER    answers the lines "LIBRARY WORK SECONDS" on its input

FOLDER holds the inputs and the vocabulary.
"""
import json
import os
import sys
import time

folder = sys.argv[1]
os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
os.environ["TIKTOKEN_CACHE_DIR"] = folder

MASK = (1 << 64) - 1


def read(name):
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as f:
        return f.read()


def tokens_of(name):
    return json.loads(read(name))


def fingerprint(tokens):
    h = 0
    for t in tokens:
        h = (h * 31 + t) & MASK
    return h


class OpenAIHarmony:
    def __init__(self):
        import openai_harmony

        self.lib = openai_harmony
        self.encoding = openai_harmony.load_harmony_encoding("HarmonyGptOss")

    def encode(self, text):
        return self.encoding.encode(text, disallowed_special=())

    def decode(self, tokens):
        return self.encoding.decode_utf8(tokens)

    def conversation(self, text):
        return self.lib.Conversation.from_json(text)

    def render(self, conversation):
        config = self.lib.RenderConversationConfig(auto_drop_analysis=False)
        return self.encoding.render_conversation(conversation, config=config)

    def parse(self, tokens):
        messages = self.encoding.parse_messages_from_completion_tokens(tokens, None)
        return sum(len(c.text.encode()) for m in messages for c in m.content)

    def stream(self, tokens):
        parser = self.lib.StreamableParser(self.encoding, None)
        size = 0
        for t in tokens:
            parser.process(t)
            size += len((parser.last_content_delta or "").encode())
        return size

    def content(self, tokens):
        parser = self.lib.StreamableParser(self.encoding, None)
        content = ""
        for t in tokens:
            parser.process(t)
            content = parser.current_content or content
        return len(content.encode())


class Tiktoken:
    def __init__(self):
        import tiktoken

        self.encoding = tiktoken.get_encoding("o200k_harmony")
        self.encode = self.encoding.encode_ordinary
        self.decode = self.encoding.decode


class Quicktok(Tiktoken):
    def __init__(self):
        import quicktok

        self.encoding = quicktok.get_encoding("o200k_harmony")
        self.encode = self.encoding.encode_ordinary
        self.decode = self.encoding.decode


libraries = {"openai-harmony-python": OpenAIHarmony, "tiktoken": Tiktoken, "quicktok": Quicktok}
loaded = {}


def work(lib, name):
    """Returns what to time, and what tells that it did the same as the others."""
    if name in ("encode", "spaces", "letters"):
        text = read(name + ".txt")
        return lambda: lib.encode(text), fingerprint
    if name == "decode":
        tokens = tokens_of("decode.json")
        return lambda: lib.decode(tokens), lambda text: len(text.encode())
    if name == "render":
        conversation = lib.conversation(read("render.json"))
        return lambda: lib.render(conversation), fingerprint
    tokens = tokens_of(name + ".json")
    return lambda: getattr(lib, name.removesuffix("-headers"))(tokens), lambda size: size


def wrong(lib):
    n = 0
    for line in read("vectors.jsonl").split("\n"):
        if line:
            v = json.loads(line)
            n += lib.encode(v["text"]) != v["tokens"]
    return n


def answer(library, name, seconds):
    start = time.process_time()
    if name == "load":
        loaded[library] = libraries[library]()
        return time.process_time() - start, 0
    lib = loaded[library]
    if name == "vectors":
        return 0, wrong(lib)
    run, check = work(lib, name)
    runs, start = 0, time.process_time()
    while True:
        result = run()
        runs += 1
        spent = time.process_time() - start
        if spent >= seconds:
            return spent / runs, check(result)


for line in sys.stdin:
    library, name, seconds = line.split()
    print(*answer(library, name, float(seconds)), flush=True)
