# Work of many kinds with one result, for a comparison of interpreters.
import bisect, collections, datetime, decimal, fractions, functools, hashlib, heapq, itertools, json, math
import random, re, statistics, string, struct, textwrap, zlib

def show(name, value):
    print(name, hashlib.sha256(repr(value).encode()).hexdigest()[:16], repr(value)[:60])

r = random.Random(4711)
numbers = [r.randrange(10 ** 6) for _ in range(20000)]
floats = [r.gauss(0, 1) for _ in range(5000)]
words = ["".join(r.choices(string.ascii_lowercase, k=r.randrange(1, 9))) for _ in range(5000)]
show("sort", (sorted(numbers), sorted(words, key=lambda w: (w[::-1], len(w)))))
show("heap", [heapq.heappop(h) for h in [numbers[:]] if not heapq.heapify(h) for _ in range(500)])
show("count", sorted(collections.Counter("".join(words)).items()))
show("floats", (math.fsum(floats), statistics.stdev(floats), [math.sin(x) ** 2 + math.exp(-x * x) for x in floats[:500]]))
show("big", (math.factorial(900), pow(3, 10 ** 5, 10 ** 40 + 7), (7 ** 3000) // (3 ** 2000), math.isqrt(10 ** 301)))
show("decimal", [decimal.Decimal(n) / 7 for n in range(1, 200)])
show("fraction", sum(fractions.Fraction(1, n) for n in range(1, 200)))
show("regex", [re.sub(r"(\w)(\w+)", r"\2\1ay", " ".join(words[:300])), re.findall(r"[aeiou]{2,}", " ".join(words))])
show("json", json.loads(json.dumps({w: numbers[i % 50] for i, w in enumerate(words[:500])})))
show("bytes", (zlib.compress(" ".join(words).encode()), hashlib.sha3_256(bytes(range(256)) * 99).hexdigest(), struct.pack("<dif", 1.5, -3, 2.25)))
show("text", textwrap.fill(" ".join(words[:400]), 60))
show("dates", [str(datetime.date(2000, 1, 1) + datetime.timedelta(days=n * 31)) for n in range(200)])

@functools.lru_cache(None)
def ways(n, k):
    return 1 if n == 0 else 0 if n < 0 or k == 0 else ways(n - k, k) + ways(n, k - 1)
show("recursion", ways(40, 30))

def guarded(n):
    try:
        try:
            if n % 3 == 0: raise ValueError(n)
            if n % 5 == 0: return [][n]
            return n
        except IndexError as e:
            raise KeyError(n) from e
        finally:
            n += 1
    except (ValueError, KeyError) as e:
        return type(e).__name__, e.args, type(e.__cause__).__name__
show("exceptions", [guarded(n) for n in range(300)])

def walk(n):
    got = yield n
    if n: yield from walk(n - 1)
    yield got
show("generators", list(walk(50)))
show("moves", [bytes(bytearray(range(256)) * n)[n::7][-9:] for n in range(1, 300)])
block = bytearray(range(256)) * 20000  # five megabytes, moved within themselves
block[1000:-1] = block[1001:]
block[3:] = block[:-3]
show("long moves", hashlib.sha256(block).hexdigest())
try:
    import numpy as np
except ImportError:
    pass
else:
    a = np.arange(90000, dtype="f8").reshape(300, 300) % 97
    show("numpy", ((a @ a.T).sum(), np.sort(a.ravel())[::999].tolist(), np.linalg.solve(a[:40, :40] + np.eye(40) * 99, np.ones(40)).round(9).tolist(), np.cumsum(a.astype("i4")).tolist()[-3:], np.fft.fft(a[0]).round(6).tolist()[:5]))
