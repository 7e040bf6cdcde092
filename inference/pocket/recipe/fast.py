"""The training forward and backward of pocket on a CPU: bf16 matrix products, everything between them fused in C++.

The unit of work is a list of groups (data.Group). A group is one prefix (a system message, run once) and a batch of branches (what
follows it in several episodes); branches attend to the prefix and to themselves, at the positions they would have behind it. In exact
arithmetic this equals running each episode whole. All tokens of all groups lie in one row-major array, so that everything but
attention is a few large matrix products.
"""
import ctypes
import os
import subprocess

import torch
import torch.nn.functional as F

from model import CONFIG as C, rope_table

HERE = os.path.dirname(os.path.abspath(__file__))
BF = torch.bfloat16
KV, REPEAT, HD = C.kv_heads, C.heads // C.kv_heads, C.head_dim
QKV = (C.heads + 2 * C.kv_heads) * HD
SCALE = HD ** -.5
CHUNK = 128
TABLE = torch.cat(rope_table(4096), 1).contiguous()   # cos and sin of every position


def _library():
    """Compile kernels.cpp into the build folder when it is newer than what is there, and load it."""
    source, build = os.path.join(HERE, 'kernels.cpp'), os.environ.get('POCKET_BUILD', os.path.join(HERE, 'build'))
    library = os.path.join(build, 'kernels.so')
    if not os.path.exists(library) or os.path.getmtime(library) < os.path.getmtime(source):
        os.makedirs(build, exist_ok=True)
        flags = ['-O3', '-ffast-math', '-march=native', '-mprefer-vector-width=512', '-fopenmp', '-shared', '-fPIC']
        subprocess.run(['g++', *flags, source, '-o', library + '.new'], check=True)
        os.replace(library + '.new', library)
    return ctypes.CDLL(library)


LIB = _library()


def call(name, *args):
    """Call a kernel: tensors go as pointers, ints as int32, floats as float32."""
    out = []
    for a in args:
        if isinstance(a, torch.Tensor):
            assert a.is_contiguous()
            out.append(ctypes.c_void_p(a.data_ptr()))
        elif isinstance(a, float):
            out.append(ctypes.c_float(a))
        else:
            out.append(ctypes.c_int(a))
    return getattr(LIB, name)(*out)


class Place:
    """Where a group's rows lie: `tp` prefix tokens padded to `pre` rows from row `at`, then `b` branches of `t` rows."""

    def __init__(self, group, at):
        self.at, self.tp, (self.b, self.t), self.pairs = at, len(group.prefix), group.branch.shape, group.pairs
        self.pre = -(-self.tp // 32) * 32
        self.branch = at + self.pre
        self.end = self.branch + self.b * self.t

    def part(self, own):
        """Sequences, rows of each and first row of the prefix (own) or of the branches."""
        return (1, self.pre, self.at) if own else (self.b, self.t, self.branch)

    def keys(self, window):
        """First prefix row that any branch sees, and how many rows of the prefix are taken."""
        base = max(0, self.tp - window) // 32 * 32 if window else 0
        return base, self.pre - base


def layout(groups):
    """The groups' places, and ids and positions of all rows."""
    places, ids, pos, at = [], [], [], 0
    for g in groups:
        p = Place(g, at)
        ids += [F.pad(g.prefix, (0, p.pre - p.tp)), g.branch.reshape(-1)]
        pos += [torch.arange(p.pre, dtype=torch.int32), torch.arange(p.tp, p.tp + p.t, dtype=torch.int32).repeat(p.b)]
        places.append(p)
        at = p.end
    return places, torch.cat(ids), torch.cat(pos)


class RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        y, inv = torch.empty(x.shape, dtype=BF), torch.empty(len(x))
        call('rms_fwd', x, w, y, inv, len(x), C.eps)
        ctx.save_for_backward(x, w, inv)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, w, inv = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.zeros(16, C.hidden)
        call('rms_bwd', x, w, inv, dy.contiguous(), dx, dw, len(x), 16)
        return dx, dw.sum(0)


def _rows(x, place, own, heads, lo=0, hi=None):
    """Rows lo to hi of a group's prefix (own) or branches as [sequences * kv, heads / kv * rows, head_dim]."""
    b, t, at = place.part(own)
    return x[at:at + b * t].view(b, t, KV, heads // KV, HD)[:, lo:hi].permute(0, 2, 3, 1, 4).reshape(b * KV, -1, HD)


def _put(x, rows, place, own, heads, lo=0, hi=None, add=False):
    """The inverse of _rows: write (or add) into the flat array."""
    b, t, at = place.part(own)
    to = x[at:at + b * t].view(b, t, KV, heads // KV, HD)[:, lo:hi]
    rows = rows.view(b, KV, heads // KV, to.shape[1], HD).permute(0, 3, 1, 2, 4)
    to.add_(rows) if add else to.copy_(rows)


def _chunks(t, extra, window):
    """128 queries at a time: lo, hi, and the first and last key column (prefix columns come first) that any of them sees."""
    for lo in range(0, t, CHUNK):
        hi = min(t, lo + CHUNK)
        yield lo, hi, (extra + lo - window if window and lo >= window else 0), extra + hi


class Lesson:
    """Teaches heads of one layer where copied tokens come from.

    parts: (heads, role, weight). Adds weight * -log(share of attention on the keys of that role) to the loss for every query that
    has such keys and every head; weights are already divided by the number of tokens that the loss is the mean of.
    """

    def __init__(self, parts):
        self.parts = parts
        self.sum, self.count = [0.0] * len(parts), [0] * len(parts)

    def shares(self):
        """Mean share of attention that each part's heads gave to their keys."""
        return [s / max(1, n) for s, n in zip(self.sum, self.count)]

    def of_chunk(self, pairs, lo, hi, t, shift):
        """For each part the pairs of queries lo to hi: their rows (branch, query), and for each pair its row's number and column."""
        chosen = []
        for _, role, _ in self.parts:
            p = pairs[(pairs[:, 1] >= lo) & (pairs[:, 1] < hi) & (pairs[:, 3] == role)]
            rows, row = torch.unique(p[:, 0] * t + p[:, 1], return_inverse=True)
            chosen.append((rows // t, rows % t - lo, row, p[:, 2] + shift))
        return chosen

    def look(self, p, chosen, length):
        """Note the shares, for the log."""
        flat = p.view(-1, p.shape[-1])
        for i, ((heads, _, _), (branch, query, row, column)) in enumerate(zip(self.parts, chosen)):
            self.count[i] += len(branch) * len(heads)
            for h in heads:
                self.sum[i] += float(flat[((branch * C.heads + h) * length + query)[row], column].float().sum())

    def teach(self, dscore, dsink, p, psink, chosen, length):
        """Add the lesson's gradient to that of the scores and sinks."""
        flat, grad = p.view(-1, p.shape[-1]), dscore.view(-1, p.shape[-1])
        for (heads, _, weight), (branch, query, row, column) in zip(self.parts, chosen):
            for h in heads:
                at = (branch * C.heads + h) * length + query
                d = flat[at].float()
                hit = d[row, column]
                share = torch.zeros(len(at)).index_add_(0, row, hit).clamp_min(1e-9)
                d[row, column] -= hit / share[row]
                grad.index_add_(0, at, (d * (weight * SCALE)).to(BF))
                dsink.index_add_(0, at, psink[at] * weight)


class Attend(torch.autograd.Function):
    """Rotation and attention of all groups: qkv [rows, QKV] -> [rows, heads * head_dim].

    `last`: nothing of the prefix is asked for, only its keys and values are used.
    """

    @staticmethod
    def forward(ctx, qkv, sinks, places, pos, window, last, lesson):
        n = len(qkv)
        turned = torch.empty_like(qkv)
        call('rope', qkv, turned, pos, TABLE, n, QKV, C.heads + KV, 1.0)
        q, k, v = turned.split([C.heads * HD, KV * HD, KV * HD], 1)
        out = (torch.zeros if last else torch.empty)(n, C.heads * HD, dtype=BF)
        kept = []
        for place in places:
            base, width = place.keys(window)
            for own in (True, False):
                b, t, _ = place.part(own)
                if own and (last or not t):
                    continue
                kr, vr, extra = _rows(k, place, own, KV), _rows(v, place, own, KV), 0 if own else width
                if extra:
                    kr, vr = (torch.cat([_rows(x, place, True, KV)[:, base:].expand(b, KV, extra, HD).reshape(b * KV, extra, HD), r], 1)
                              for x, r in ((k, kr), (v, vr)))
                parts = []
                for lo, hi, first, end in _chunks(t, extra, window):
                    qr = _rows(q, place, own, C.heads, lo, hi)
                    p = torch.bmm(qr, kr[:, first:end].transpose(1, 2))
                    psink = torch.empty(b * C.heads * (hi - lo))
                    shape = (b, KV, REPEAT, hi - lo, end - first, max(0, extra - first), base, 0 if own else place.tp,
                             window, lo, max(0, first - extra), SCALE)
                    call('softmax_fwd', p, psink, sinks, *shape)
                    taught = None if own or lesson is None else lesson.of_chunk(place.pairs, lo, hi, t, extra - first)
                    if taught:
                        lesson.look(p, taught, hi - lo)
                    _put(out, torch.bmm(p, vr[:, first:end]), place, own, C.heads, lo, hi)
                    parts.append((lo, hi, first, end, qr, p, psink, shape, taught))
                kept.append((place, own, base, extra, kr, vr, parts))
        ctx.kept, ctx.pos, ctx.lesson = kept, pos, lesson
        return out

    @staticmethod
    def backward(ctx, dout):
        n, dout = len(dout), dout.contiguous()
        turned, back = torch.zeros(n, QKV, dtype=BF), torch.empty(n, QKV, dtype=BF)
        dq, dk, dv = turned.split([C.heads * HD, KV * HD, KV * HD], 1)
        dsinks = torch.zeros(C.heads)
        for place, own, base, extra, kr, vr, parts in ctx.kept:
            b, t, _ = place.part(own)
            dkr, dvr = torch.zeros_like(kr), torch.zeros_like(vr)
            for lo, hi, first, end, qr, p, psink, shape, taught in parts:
                do = _rows(dout, place, own, C.heads, lo, hi)
                dscore, dsink = torch.bmm(do, vr[:, first:end].transpose(1, 2)), torch.empty_like(psink)
                call('softmax_bwd', p, dscore, psink, dsink, *shape)
                if taught:
                    ctx.lesson.teach(dscore, dsink, p, psink, taught, hi - lo)
                dsinks += dsink.view(b, C.heads, hi - lo).sum((0, 2))
                _put(dq, torch.bmm(dscore, kr[:, first:end]), place, own, C.heads, lo, hi)
                dvr[:, first:end] += torch.bmm(p.transpose(1, 2), do)
                dkr[:, first:end] += torch.bmm(dscore.transpose(1, 2), qr)
            for d, flat in ((dkr, dk), (dvr, dv)):
                _put(flat, d[:, extra:].reshape(b * KV, t, HD), place, own, KV, add=True)
                if extra:   # the prefix's keys and values serve every branch
                    shared = flat[place.at + base:place.branch].view(extra, KV, HD)
                    shared += d[:, :extra].reshape(b, KV, extra, HD).float().sum(0).transpose(0, 1).to(BF)
        call('rope', turned, back, ctx.pos, TABLE, n, QKV, C.heads + KV, -1.0)
        ctx.kept = None
        return back, dsinks, None, None, None, None, None


class Mixture(torch.autograd.Function):
    """x + sum over the chosen experts of share * expert(y): y [rows, hidden] bf16, up and down bf16."""

    @staticmethod
    def forward(ctx, x, y, chosen, share, up, up_bias, down, down_bias):
        n, k, e = len(y), C.top_k, C.experts
        size = n * k + 32 * e
        slot, off = torch.empty(n * k, dtype=torch.int32), torch.empty(e + 1, dtype=torch.int32)
        src, expert = torch.empty(size, dtype=torch.int32), torch.empty(size, dtype=torch.int32)
        rows = call('route', chosen, n, k, e, 32, slot, src, expert, off)
        ends = off.tolist()
        xs = torch.empty(rows, C.hidden, dtype=BF)
        call('gather', y, src, xs, rows)
        h, act, o = torch.empty(rows, 2 * C.inter, dtype=BF), torch.empty(rows, C.inter, dtype=BF), torch.empty(rows, C.hidden, dtype=BF)
        for i in range(e):
            if ends[i] < ends[i + 1]:
                torch.mm(xs[ends[i]:ends[i + 1]], up[i].t(), out=h[ends[i]:ends[i + 1]])
        call('glu_fwd', h, up_bias, expert, act, rows, C.swiglu_limit, C.swiglu_alpha)
        for i in range(e):
            if ends[i] < ends[i + 1]:
                torch.mm(act[ends[i]:ends[i + 1]], down[i].t(), out=o[ends[i]:ends[i + 1]])
        out = torch.empty_like(x)
        call('combine_fwd', o, down_bias, slot, chosen, share, x, out, n, k)
        ctx.save_for_backward(chosen, share, up, up_bias, down, down_bias, slot, off, xs, h, act, o)
        ctx.ends = ends
        return out

    @staticmethod
    def backward(ctx, dout):
        chosen, share, up, up_bias, down, down_bias, slot, off, xs, h, act, o = ctx.saved_tensors
        dout, ends, n, k, e = dout.contiguous(), ctx.ends, len(dout), C.top_k, C.experts
        do, dshare = torch.zeros_like(o), torch.empty_like(share)
        call('combine_bwd', o, down_bias, slot, chosen, share, dout, do, dshare, n, k)
        da, dx = torch.empty_like(act), torch.empty_like(xs)
        ddown, dup = torch.zeros_like(down), torch.zeros_like(up)
        ddown_bias, dup_bias = torch.zeros_like(down_bias), torch.zeros_like(up_bias)
        call('sum_rows', do, ddown_bias, off, e, C.hidden)
        for i in range(e):
            a, z = ends[i], ends[i + 1]
            if a < z:
                torch.mm(do[a:z], down[i], out=da[a:z])
                torch.mm(do[a:z].t(), act[a:z], out=ddown[i])
        call('glu_bwd', h, up_bias, da, dup_bias, off, e, C.swiglu_limit, C.swiglu_alpha)
        for i in range(e):
            a, z = ends[i], ends[i + 1]
            if a < z:
                torch.mm(h[a:z], up[i], out=dx[a:z])
                torch.mm(h[a:z].t(), xs[a:z], out=dup[i])
        dy = torch.empty(n, C.hidden, dtype=BF)
        call('scatter_sum', dx, slot, dy, n, k)
        return dout, dy, None, dshare, dup, dup_bias, ddown, ddown_bias


class Rounded(torch.autograd.Function):
    """MXFP4 rounding with the gradient passed straight through; the values are exact in bf16."""

    @staticmethod
    def forward(ctx, w):
        q = torch.empty(w.shape, dtype=BF)
        LIB.mxfp4(ctypes.c_void_p(w.data_ptr()), ctypes.c_void_p(q.data_ptr()), ctypes.c_int64(w.numel() // 32))
        return q

    @staticmethod
    def backward(ctx, d):
        return d.float()


def forward(model, groups, select, lessons={}):
    """Logits [selected, vocab] of the flat rows `select`, and the routers' balance loss (1 when even).

    lessons: layer -> Lesson, for heads that are to be taught.
    """
    places, ids, pos = layout(groups)
    x = F.embedding(ids, model.embed.weight)
    balance = 0.0
    for i in range(C.layers):
        a, m = model.attention[i], model.experts[i]
        w = torch.cat([a.q.weight, a.k.weight, a.v.weight]).to(BF)
        bias = torch.cat([a.q.bias, a.k.bias, a.v.bias]).to(BF)
        qkv = F.linear(RMSNorm.apply(x, model.attention_norm[i].weight), w, bias)
        last = i + 1 == C.layers
        mixed = Attend.apply(qkv, a.sinks, places, pos, a.window, last, lessons.get(i))
        if last:   # from here on only the rows that predict
            x, mixed = x[select], mixed[select]
        x = x + F.linear(mixed, a.o.weight.to(BF), a.o.bias.to(BF))
        y = RMSNorm.apply(x, model.expert_norm[i].weight)
        score = F.linear(y.float(), m.router.weight, m.router.bias)
        top, chosen = score.topk(C.top_k, -1)
        used = torch.bincount(chosen.flatten(), minlength=C.experts).float() / len(x)
        balance = balance + (used * score.softmax(-1).mean(0)).sum() * C.experts / C.top_k
        x = Mixture.apply(x, y, chosen.int(), top.softmax(-1), Rounded.apply(m.up), m.up_bias, Rounded.apply(m.down), m.down_bias)
    out = F.linear(RMSNorm.apply(x, model.norm.weight), model.head.weight.to(BF))
    return out, balance / C.layers
