"""The gpt-oss architecture at toy size, in plain PyTorch: the reference that the fast trainer and the export are checked with.

Weights are kept in float32; experts are stored as [experts, out, in] with gate and up rows interleaved, as gpt-oss has them.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Config:
    vocab: int = 2048
    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 2
    head_dim: int = 64
    experts: int = 8
    top_k: int = 2
    inter: int = 256
    window: int = 128            # of the even layers; the odd ones see everything
    rope_theta: float = 150000.0
    rope_factor: float = 32.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    rope_context: int = 4096     # the context that YaRN stretches
    swiglu_limit: float = 7.0
    swiglu_alpha: float = 1.702
    eps: float = 1e-5


CONFIG = Config()


def rope_table(length, c=CONFIG):
    """cos and sin of every position, [length, head_dim / 2] each, by YaRN and with its concentration factor."""
    d = c.head_dim
    freq = c.rope_theta ** (torch.arange(0, d, 2).float() / d)
    low = d / 2 * math.log(c.rope_context / (c.beta_fast * 2 * math.pi)) / math.log(c.rope_theta)
    high = d / 2 * math.log(c.rope_context / (c.beta_slow * 2 * math.pi)) / math.log(c.rope_theta)
    keep = 1 - ((torch.arange(d / 2) - low) / (high - low)).clamp(0, 1)
    inverse = (1 - keep) / (c.rope_factor * freq) + keep / freq
    angle = torch.outer(torch.arange(length).float(), inverse)
    scale = 0.1 * math.log(c.rope_factor) + 1.0
    return angle.cos() * scale, angle.sin() * scale


def round_mxfp4(w):
    """The nearest MXFP4 value of every weight: blocks of 32 along the last axis share a power of two."""
    x = w.detach().reshape(*w.shape[:-1], -1, 32)
    top = x.abs().amax(-1, keepdim=True).clamp_min(1e-20)
    scale = torch.exp2(torch.ceil(torch.log2(top / 6.0)).clamp(-120, 120))
    return (e2m1(x / scale) * scale).reshape(w.shape)


def e2m1(y):
    """Round to 0 .5 1 1.5 2 3 4 6, with sign."""
    a = y.abs()
    q = torch.where(a < 2, torch.round(a * 2) / 2, torch.where(a < 4, torch.round(a), torch.round(a / 2) * 2)).clamp(max=6)
    return torch.sign(y) * q


class Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(CONFIG.hidden))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG.eps) * self.weight


class Attention(nn.Module):
    def __init__(self, layer):
        super().__init__()
        c = CONFIG
        self.window = c.window if layer % 2 == 0 else 0
        self.q = nn.Linear(c.hidden, c.heads * c.head_dim)
        self.k = nn.Linear(c.hidden, c.kv_heads * c.head_dim)
        self.v = nn.Linear(c.hidden, c.kv_heads * c.head_dim)
        self.o = nn.Linear(c.heads * c.head_dim, c.hidden)
        self.sinks = nn.Parameter(torch.zeros(c.heads))

    def forward(self, x):
        c = CONFIG
        b, t, _ = x.shape
        cos, sin = rope_table(t)

        def rotate(u):
            p, q = u.chunk(2, -1)
            return torch.cat([p * cos - q * sin, q * cos + p * sin], -1)

        q = rotate(self.q(x).view(b, t, c.heads, c.head_dim).transpose(1, 2))
        k = rotate(self.k(x).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2)).repeat_interleave(c.heads // c.kv_heads, 1)
        v = self.v(x).view(b, t, c.kv_heads, c.head_dim).transpose(1, 2).repeat_interleave(c.heads // c.kv_heads, 1)
        back = torch.arange(t)[:, None] - torch.arange(t)
        unseen = (back < 0) | (back >= self.window if self.window else torch.zeros_like(back, dtype=torch.bool))
        score = (q @ k.transpose(-1, -2) * c.head_dim ** -.5).masked_fill(unseen, float('-inf'))
        sink = self.sinks.view(1, -1, 1, 1).expand(b, -1, t, 1)
        share = torch.softmax(torch.cat([score, sink], -1), -1)[..., :-1]
        return self.o((share @ v).transpose(1, 2).reshape(b, t, -1))


class Experts(nn.Module):
    def __init__(self):
        super().__init__()
        c = CONFIG
        self.router = nn.Linear(c.hidden, c.experts)
        self.up = nn.Parameter(torch.randn(c.experts, 2 * c.inter, c.hidden) * c.hidden ** -.5)
        self.up_bias = nn.Parameter(torch.zeros(c.experts, 2 * c.inter))
        self.down = nn.Parameter(torch.randn(c.experts, c.hidden, c.inter) * c.inter ** -.5 * .5)
        self.down_bias = nn.Parameter(torch.zeros(c.experts, c.hidden))

    def forward(self, x):
        c = CONFIG
        shape, x = x.shape, x.reshape(-1, c.hidden)
        score, chosen = self.router(x).topk(c.top_k, -1)
        share = score.softmax(-1)
        y = torch.zeros_like(x)
        for e in range(c.experts):
            row, rank = (chosen == e).nonzero(as_tuple=True)
            gate, up = (x[row] @ self.up[e].T + self.up_bias[e]).view(-1, c.inter, 2).unbind(-1)
            gate, up = gate.clamp(max=c.swiglu_limit), up.clamp(-c.swiglu_limit, c.swiglu_limit)
            act = gate * torch.sigmoid(c.swiglu_alpha * gate) * (up + 1)
            y.index_add_(0, row, (act @ self.down[e].T + self.down_bias[e]) * share[row, rank, None])
        return y.view(shape)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        c = CONFIG
        self.embed = nn.Embedding(c.vocab, c.hidden)
        nn.init.normal_(self.embed.weight, std=.5)
        self.attention_norm = nn.ModuleList(Norm() for _ in range(c.layers))
        self.attention = nn.ModuleList(Attention(i) for i in range(c.layers))
        self.expert_norm = nn.ModuleList(Norm() for _ in range(c.layers))
        self.experts = nn.ModuleList(Experts() for _ in range(c.layers))
        self.norm = Norm()
        self.head = nn.Linear(c.hidden, c.vocab, bias=False)
        nn.init.normal_(self.head.weight, std=.02)

    def forward(self, ids):
        x = self.embed(ids)
        for i in range(CONFIG.layers):
            x = x + self.attention[i](self.attention_norm[i](x))
            x = x + self.experts[i](self.expert_norm[i](x))
        return self.head(self.norm(x))
