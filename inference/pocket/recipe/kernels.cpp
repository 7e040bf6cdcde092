// Fused CPU kernels of the trainer: what lies between the matrix products. Arrays are row-major; bf is bfloat16; rows are
// independent, and OpenMP splits them (into one part where the trainer runs single-threaded).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

typedef uint16_t bf;
static const int H = 256, I = 256, HD = 64;  // hidden size, expert width, head size

static inline float f32(bf x) {
    uint32_t u = (uint32_t)x << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static inline bf b16(float f) {
    uint32_t u;
    memcpy(&u, &f, 4);
    u += 0x7fff + ((u >> 16) & 1);
    return (bf)(u >> 16);
}

// exp with a relative error of about 2e-7, in a form that compilers vectorise
static inline float fexp(float x) {
    x = std::max(x, -87.0f) * 1.44269504088896341f;
    float n = std::nearbyint(x), r = x - n;
    float p = 1.5403530e-4f;
    p = p * r + 1.3333558e-3f;
    p = p * r + 9.6181291e-3f;
    p = p * r + 5.5504109e-2f;
    p = p * r + 2.4022651e-1f;
    p = p * r + 6.9314718e-1f;
    p = p * r + 1.0f;
    int32_t i = ((int32_t)n + 127) << 23;
    float s;
    memcpy(&s, &i, 4);
    return p * s;
}

// A chunk of queries (branch positions lo, lo + 1, ...) against `pre` prefix keys and then own keys from position klo on. Prefix
// column j is prefix position base + j; tp is the prefix's true length, so that query t is at position tp + t. The columns that
// query t sees are [a0, a1) and [b0, b1).
struct Chunk {
    int nb, kv, G, T, Tk, pre, base, tp, window, lo, klo;
};
static inline void ranges(const Chunk& c, int i, int& a0, int& a1, int& b0, int& b1) {
    int t = c.lo + i, first = c.klo;
    a0 = 0;
    a1 = std::min(c.pre, c.tp - c.base);
    if (c.window) {
        a0 = std::max(0, c.tp + t - c.window + 1 - c.base);
        first = std::max(first, t - c.window + 1);
    }
    if (a0 > a1) a0 = a1 = 0;
    b0 = c.pre + first - c.klo;
    b1 = c.pre + t + 1 - c.klo;
}

extern "C" {

// S[rows = nb * kv * G * T][Tk] scores -> probabilities, in place; psink[row] gets the sink's share.
void softmax_fwd(bf* S, float* psink, const float* sinks, int nb, int kv, int G, int T, int Tk, int pre, int base, int tp,
                 int window, int lo, int klo, float scale) {
    Chunk c = {nb, kv, G, T, Tk, pre, base, tp, window, lo, klo};
    int rows = nb * kv * G * T;
#pragma omp parallel for schedule(static)
    for (int r = 0; r < rows; r++) {
        int h = (r / T) % (kv * G), a0, a1, b0, b1;
        ranges(c, r % T, a0, a1, b0, b1);
        bf* s = S + (int64_t)r * Tk;
        float m = sinks[h];
        float mm = -1e30f;
        for (int j = a0; j < a1; j++) mm = std::max(mm, f32(s[j]));
        for (int j = b0; j < b1; j++) mm = std::max(mm, f32(s[j]));
        m = std::max(m, mm * scale);
        float z = 0, e[4096];
        for (int j = a0; j < a1; j++) {
            float x = fexp(f32(s[j]) * scale - m);
            e[j] = x;
            z += x;
        }
        for (int j = b0; j < b1; j++) {
            float x = fexp(f32(s[j]) * scale - m);
            e[j] = x;
            z += x;
        }
        float es = fexp(sinks[h] - m);
        z += es;
        float i = 1 / z;
        psink[r] = es * i;
        memset(s, 0, a0 * 2);
        for (int j = a0; j < a1; j++) s[j] = b16(e[j] * i);
        memset(s + a1, 0, (b0 - a1) * 2);
        for (int j = b0; j < b1; j++) s[j] = b16(e[j] * i);
        memset(s + b1, 0, (Tk - b1) * 2);
    }
}

// dP -> dS in place (scaled); dsink[row] gets the row's share of the sink's gradient.
void softmax_bwd(const bf* P, bf* D, const float* psink, float* dsink, int nb, int kv, int G, int T, int Tk, int pre, int base,
                 int tp, int window, int lo, int klo, float scale) {
    Chunk c = {nb, kv, G, T, Tk, pre, base, tp, window, lo, klo};
    int rows = nb * kv * G * T;
#pragma omp parallel for schedule(static)
    for (int r = 0; r < rows; r++) {
        int a0, a1, b0, b1;
        ranges(c, r % T, a0, a1, b0, b1);
        const bf* p = P + (int64_t)r * Tk;
        bf* d = D + (int64_t)r * Tk;
        float s = 0;
        for (int j = a0; j < a1; j++) s += f32(p[j]) * f32(d[j]);
        for (int j = b0; j < b1; j++) s += f32(p[j]) * f32(d[j]);
        memset(d, 0, a0 * 2);
        for (int j = a0; j < a1; j++) d[j] = b16(f32(p[j]) * (f32(d[j]) - s) * scale);
        memset(d + a1, 0, (b0 - a1) * 2);
        for (int j = b0; j < b1; j++) d[j] = b16(f32(p[j]) * (f32(d[j]) - s) * scale);
        memset(d + b1, 0, (Tk - b1) * 2);
        dsink[r] = -psink[r] * s;
    }
}

// Rotate the first `heads` heads of each row of X[N][width] by its position; sign -1 is the transpose.
void rope(const bf* X, bf* Y, const int32_t* pos, const float* cs, int N, int width, int heads, float sign) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        const bf* x = X + (int64_t)n * width;
        bf* y = Y + (int64_t)n * width;
        const float *c = cs + (int64_t)pos[n] * 64, *s = c + 32;
        for (int h = 0; h < heads; h++) {
            const bf* a = x + h * HD;
            bf* o = y + h * HD;
            for (int j = 0; j < 32; j++) {
                float p = f32(a[j]), q = f32(a[j + 32]), si = sign * s[j];
                o[j] = b16(p * c[j] - q * si);
                o[j + 32] = b16(q * c[j] + p * si);
            }
        }
        memcpy(y + heads * HD, x + heads * HD, (width - heads * HD) * 2);
    }
}

void rms_fwd(const float* X, const float* w, bf* Y, float* inv, int N, float eps) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        const float* x = X + (int64_t)n * H;
        bf* y = Y + (int64_t)n * H;
        float s = 0;
        for (int j = 0; j < H; j++) s += x[j] * x[j];
        float i = 1 / std::sqrt(s / H + eps);
        inv[n] = i;
        for (int j = 0; j < H; j++) y[j] = b16(x[j] * i * w[j]);
    }
}

// dX = gradient through the norm; dw partial sums per thread block [blocks][H]
void rms_bwd(const float* X, const float* w, const float* inv, const bf* dY, float* dX, float* dw, int N, int blocks) {
#pragma omp parallel for schedule(static)
    for (int b = 0; b < blocks; b++) {
        float* g = dw + b * H;
        int lo = (int64_t)N * b / blocks, hi = (int64_t)N * (b + 1) / blocks;
        for (int n = lo; n < hi; n++) {
            const float* x = X + (int64_t)n * H;
            const bf* dy = dY + (int64_t)n * H;
            float *dx = dX + (int64_t)n * H, i = inv[n], s = 0;
            for (int j = 0; j < H; j++) {
                float d = f32(dy[j]);
                s += d * w[j] * x[j];
                g[j] += d * x[j] * i;
            }
            s *= i * i * i / H;
            for (int j = 0; j < H; j++) dx[j] = f32(dy[j]) * w[j] * i - x[j] * s;
        }
    }
}

// rows gathered by source index (src < 0: zeros)
void gather(const bf* X, const int32_t* src, bf* Y, int R) {
#pragma omp parallel for schedule(static)
    for (int r = 0; r < R; r++) {
        bf* y = Y + (int64_t)r * H;
        if (src[r] < 0) memset(y, 0, H * 2);
        else memcpy(y, X + (int64_t)src[r] * H, H * 2);
    }
}

// h[R][2I] (without bias) -> act[R][I]; expert of row r in ex[r]
void glu_fwd(const bf* Hh, const float* b1, const int32_t* ex, bf* A, int R, float limit, float alpha) {
#pragma omp parallel for schedule(static)
    for (int r = 0; r < R; r++) {
        const bf* h = Hh + (int64_t)r * 2 * I;
        const float* b = b1 + (int64_t)ex[r] * 2 * I;
        bf* a = A + (int64_t)r * I;
        for (int j = 0; j < I; j++) {
            float g = std::min(f32(h[2 * j]) + b[2 * j], limit),
                  u = std::max(std::min(f32(h[2 * j + 1]) + b[2 * j + 1], limit), -limit);
            a[j] = b16(g / (1 + fexp(-alpha * g)) * (u + 1));
        }
    }
}

// dA -> dh (into Hh, in place) ; db1 accumulated per block of rows of one expert: rows [off[e], off[e+1])
void glu_bwd(bf* Hh, const float* b1, const bf* dA, float* db1, const int32_t* off, int E, float limit, float alpha) {
#pragma omp parallel for schedule(dynamic)
    for (int e = 0; e < E; e++) {
        const float* b = b1 + (int64_t)e * 2 * I;
        float* db = db1 + (int64_t)e * 2 * I;
        for (int r = off[e]; r < off[e + 1]; r++) {
            bf* h = Hh + (int64_t)r * 2 * I;
            const bf* d = dA + (int64_t)r * I;
            for (int j = 0; j < I; j++) {
                float g0 = f32(h[2 * j]) + b[2 * j], u0 = f32(h[2 * j + 1]) + b[2 * j + 1], g = std::min(g0, limit),
                      u = std::max(std::min(u0, limit), -limit);
                float s = 1 / (1 + fexp(-alpha * g)), da = f32(d[j]);
                float dg = g0 <= limit ? da * (u + 1) * (s + alpha * g * s * (1 - s)) : 0,
                      du = (u0 <= limit && u0 >= -limit) ? da * g * s : 0;
                h[2 * j] = b16(dg);
                h[2 * j + 1] = b16(du);
                db[2 * j] += dg;
                db[2 * j + 1] += du;
            }
        }
    }
}

// Y[n] (+)= sum over k of w[n][k] * (O[slot[n][k]] + b2[expert])
void combine_fwd(const bf* O, const float* b2, const int32_t* slot, const int32_t* ti, const float* w, const float* X, float* Y,
                 int N, int K) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        float* y = Y + (int64_t)n * H;
        memcpy(y, X + (int64_t)n * H, H * 4);
        for (int k = 0; k < K; k++) {
            const bf* o = O + (int64_t)slot[n * K + k] * H;
            const float* b = b2 + (int64_t)ti[n * K + k] * H;
            float v = w[n * K + k];
            for (int j = 0; j < H; j++) y[j] += v * (f32(o[j]) + b[j]);
        }
    }
}

// dO[slot] = w * dY (rows without a source must be zero already), dw = <O + b2, dY>
void combine_bwd(const bf* O, const float* b2, const int32_t* slot, const int32_t* ti, const float* w, const float* dY, bf* dO,
                 float* dw, int N, int K) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        const float* dy = dY + (int64_t)n * H;
        for (int k = 0; k < K; k++) {
            int64_t s = slot[n * K + k];
            const bf* o = O + s * H;
            const float* b = b2 + (int64_t)ti[n * K + k] * H;
            bf* d = dO + s * H;
            float v = w[n * K + k], z = 0;
            for (int j = 0; j < H; j++) {
                z += dy[j] * (f32(o[j]) + b[j]);
                d[j] = b16(v * dy[j]);
            }
            dw[n * K + k] = z;
        }
    }
}

// Y[n] = sum over k of G[slot[n][k]]  (the gradient of the gather)
void scatter_sum(const bf* G, const int32_t* slot, bf* Y, int N, int K) {
#pragma omp parallel for schedule(static)
    for (int n = 0; n < N; n++) {
        bf* y = Y + (int64_t)n * H;
        float a[H];
        memset(a, 0, sizeof a);
        for (int k = 0; k < K; k++) {
            const bf* g = G + (int64_t)slot[n * K + k] * H;
            for (int j = 0; j < H; j++) a[j] += f32(g[j]);
        }
        for (int j = 0; j < H; j++) y[j] = b16(a[j]);
    }
}

// sum of rows [off[e], off[e+1]) of G[R][W] per expert
void sum_rows(const bf* G, float* out, const int32_t* off, int E, int W) {
#pragma omp parallel for schedule(dynamic)
    for (int e = 0; e < E; e++)
        for (int r = off[e]; r < off[e + 1]; r++) {
            const bf* g = G + (int64_t)r * W;
            float* o = out + (int64_t)e * W;
            for (int j = 0; j < W; j++) o[j] += f32(g[j]);
        }
}

// rows sorted by expert: each expert's rows padded to a multiple of `pad`; returns total rows. src, ex sized by the caller.
int route(const int32_t* ti, int N, int K, int E, int pad, int32_t* slot, int32_t* src, int32_t* ex, int32_t* off) {
    int cnt[64] = {0};
    for (int i = 0; i < N * K; i++) cnt[ti[i]]++;
    off[0] = 0;
    for (int e = 0; e < E; e++) off[e + 1] = off[e] + (cnt[e] + pad - 1) / pad * pad;
    int at[64];
    for (int e = 0; e < E; e++) {
        at[e] = off[e];
        for (int r = off[e]; r < off[e + 1]; r++) {
            ex[r] = e;
            src[r] = -1;
        }
    }
    for (int i = 0; i < N * K; i++) {
        int s = at[ti[i]]++;
        slot[i] = s;
        src[s] = i / K;
    }
    return off[E];
}

// W[n][32 k] -> rounded to MXFP4, as bf16 (exact)
void mxfp4(const float* W, bf* Q, int64_t blocks) {
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < blocks; b++) {
        const float* w = W + b * 32;
        bf* q = Q + b * 32;
        float am = 1e-20f;
        for (int j = 0; j < 32; j++) am = std::max(am, std::fabs(w[j]));
        float e = std::ceil(std::log2(am / 6.0f));
        e = std::min(120.f, std::max(-120.f, e));
        float s = std::exp2(e), si = std::exp2(-e);
        for (int j = 0; j < 32; j++) {
            float y = w[j] * si, a = std::fabs(y);
            float v = a < 2   ? std::nearbyint(a * 2) * .5f
                      : a < 4 ? std::nearbyint(a)
                              : std::min(6.f, std::nearbyint(a * .5f) * 2);
            q[j] = b16(std::copysign(v, y) * s);
        }
    }
}
}
