"""Muon for the matrices inside the layers, AdamW for all else, on parameters that several processes share."""
import torch

# Coefficients of Polar Express (Amsel et al. 2025): the best polynomials of degree 5, round by round.
POLAR = [(8.28721201814563, -23.595886519098837, 17.300387312530933), (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
         (3.9486908534822946, -2.908902115962949, 0.5518191394370137), (3.3184196573706015, -2.488488024314874, 0.51004894012372)]
MOMENTUM = .95          # Muon
BETAS = .9, .98         # Adam
DECAY = .01             # of weights, times the learning rate
CLIP = 1.0              # largest norm of the gradient that Adam sees


def orthogonal(g):
    """Roughly the nearest matrix with orthonormal columns of each [batch, rows, columns], rows >= columns, in bf16."""
    x = g.to(torch.bfloat16)
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-12).to(x.dtype)
    for a, b, c in POLAR:
        gram = torch.bmm(x.transpose(-1, -2), x)
        x = torch.baddbmm(x, x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), beta=a)
    return x


def is_inner(name, p):
    """Attention and expert matrices; not embedding, head, router, biases, norms and sinks."""
    return p.dim() > 1 and name.startswith(('attention.', 'experts.')) and 'router' not in name and 'bias' not in name


class Optimizer:
    """Its state lives in shared memory; any process may `step`. `lock` guards all but the orthogonalising."""

    def __init__(self, model, lock):
        self.lock = lock
        self.inner = [p for n, p in model.named_parameters() if is_inner(n, p)]
        self.outer = [p for n, p in model.named_parameters() if not is_inner(n, p)]
        self.buffer = [torch.zeros_like(p).share_memory_() for p in self.inner]
        self.first = [torch.zeros_like(p).share_memory_() for p in self.outer]
        self.second = [torch.zeros_like(p).share_memory_() for p in self.outer]
        self.count = torch.zeros(1, dtype=torch.int64).share_memory_()

    def state(self):
        return dict(buffer=self.buffer, first=self.first, second=self.second, count=self.count)

    def load(self, state):
        for kind in ('buffer', 'first', 'second'):
            for mine, given in zip(getattr(self, kind), state[kind]):
                mine.copy_(given)
        self.count.copy_(state['count'])

    @torch.no_grad()
    def step(self, muon_lr, adam_lr):
        """Apply the gradients of this process; returns their norm. Gradients that are not finite are dropped."""
        norm = torch.stack([p.grad.norm() for p in self.inner + self.outer]).norm()
        if not torch.isfinite(norm):
            return float(norm)
        with self.lock:
            self.count += 1
            self._adam(adam_lr, min(1.0, CLIP / (float(norm) + 1e-6)))
            directions = []
            for p, m in zip(self.inner, self.buffer):
                m.mul_(MOMENTUM).add_(p.grad)
                directions.append(p.grad.add(m, alpha=MOMENTUM))
        updates = orthogonalise(directions)
        with self.lock:
            for p, u in zip(self.inner, updates):
                p.mul_(1 - muon_lr * DECAY).add_(u, alpha=-muon_lr * .2 * max(p.shape[-2:]) ** .5)
        return float(norm)

    def _adam(self, lr, scale):
        n, (b1, b2) = int(self.count), BETAS
        for p, m, v in zip(self.outer, self.first, self.second):
            g = p.grad * scale
            m.lerp_(g, 1 - b1)
            v.mul_(b2).addcmul_(g, g, value=1 - b2)
            if p.dim() > 1:
                p.mul_(1 - lr * DECAY)
            p.addcdiv_(m / (1 - b1 ** n), (v / (1 - b2 ** n)).sqrt_().add_(1e-8), value=-lr)


def orthogonalise(directions):
    """Every matrix made orthogonal; those of one shape, up to transposition, go as one batch."""
    upright = [d.transpose(-1, -2) if d.shape[-2] < d.shape[-1] else d for d in directions]
    shapes, out = {}, [None] * len(directions)
    for i, d in enumerate(upright):
        shapes.setdefault(d.shape[-2:], []).append(i)
    for members in shapes.values():
        flat = [upright[i].reshape(-1, *upright[i].shape[-2:]) for i in members]
        for i, u in zip(members, orthogonal(torch.cat(flat)).split([len(f) for f in flat])):
            u = u.reshape(upright[i].shape).float()
            out[i] = u.transpose(-1, -2) if directions[i].shape[-2] < directions[i].shape[-1] else u
    return out
