"""The checkpoint as a Hugging Face gpt-oss folder: MXFP4 experts, bf16 for the rest. Writing and reading are inverse."""
import json
import os
import shutil

import torch
from safetensors.torch import load_file, save_file

from model import CONFIG, Model

E2M1 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6])
CONTROL = dict(endoftext='<|endoftext|>', end='<|return|>', call='<|call|>')


def to_mxfp4(w):
    """[..., n] floats -> blocks [..., n / 32, 16] of nibble pairs (the first in the low half) and scales [..., n / 32]."""
    x = w.float().reshape(*w.shape[:-1], -1, 32)
    top = x.abs().amax(-1, keepdim=True).clamp_min(1e-20)
    exponent = torch.ceil(torch.log2(top / 6.0)).clamp(-120, 120)
    y = x / torch.exp2(exponent)
    a = y.abs()
    q = torch.where(a < 2, torch.round(a * 2) / 2, torch.where(a < 4, torch.round(a), torch.round(a / 2) * 2)).clamp(max=6)
    code = torch.bucketize(q, E2M1).to(torch.uint8) | ((y < 0) & (q > 0)).to(torch.uint8) << 3
    return (code[..., 0::2] | code[..., 1::2] << 4).contiguous(), (exponent.squeeze(-1) + 127).to(torch.uint8).contiguous()


def from_mxfp4(blocks, scales):
    code = torch.stack([blocks & 15, blocks >> 4], -1).flatten(-2)
    value = E2M1[(code & 7).long()] * (1 - 2 * (code >> 3).float())
    return (value * torch.exp2(scales.float() - 127)[..., None]).flatten(-2)


def names():
    """Name in the file -> name in Model, for what is kept in bf16."""
    out = {'model.embed_tokens.weight': 'embed.weight', 'lm_head.weight': 'head.weight', 'model.norm.weight': 'norm.weight'}
    for i in range(CONFIG.layers):
        p = f'model.layers.{i}.'
        out[p + 'input_layernorm.weight'] = f'attention_norm.{i}.weight'
        out[p + 'post_attention_layernorm.weight'] = f'expert_norm.{i}.weight'
        for n in 'qkvo':
            for kind in ('weight', 'bias'):
                out[f'{p}self_attn.{n}_proj.{kind}'] = f'attention.{i}.{n}.{kind}'
        out[p + 'self_attn.sinks'] = f'attention.{i}.sinks'
        for kind in ('weight', 'bias'):
            out[f'{p}mlp.router.{kind}'] = f'experts.{i}.router.{kind}'
        out[p + 'mlp.experts.gate_up_proj_bias'] = f'experts.{i}.up_bias'
        out[p + 'mlp.experts.down_proj_bias'] = f'experts.{i}.down_bias'
    return out


def expert_names():
    """Name in the file (without _blocks, _scales) -> name in Model, for what is kept in MXFP4."""
    out = {}
    for i in range(CONFIG.layers):
        out[f'model.layers.{i}.mlp.experts.gate_up_proj'] = f'experts.{i}.up'
        out[f'model.layers.{i}.mlp.experts.down_proj'] = f'experts.{i}.down'
    return out


def save(state, folder, tokenizer):
    """Write the folder from a state dict of Model; `tokenizer` is the path of tokenizer.json."""
    os.makedirs(folder, exist_ok=True)
    out = {}
    for there, here in names().items():
        out[there] = state[here].detach().to(torch.bfloat16).contiguous()
    for there, here in expert_names().items():
        out[there + '_blocks'], out[there + '_scales'] = to_mxfp4(state[here].detach())
    save_file(out, os.path.join(folder, 'model.safetensors'), metadata={'format': 'pt'})
    vocabulary = {t['content']: t['id'] for t in json.load(open(tokenizer))['added_tokens']}
    ids = {k: vocabulary[v] for k, v in CONTROL.items()}
    write = lambda name, value: json.dump(value, open(os.path.join(folder, name), 'w'), indent=1)
    write('config.json', config(ids))
    write('generation_config.json', dict(eos_token_id=[ids['end'], ids['call']], pad_token_id=ids['endoftext']))
    write('tokenizer_config.json', dict(tokenizer_class='PreTrainedTokenizerFast', eos_token=CONTROL['end'], pad_token=CONTROL['endoftext'],
                                        model_max_length=131072, harmony_dialect='compat'))
    target = os.path.join(folder, 'tokenizer.json')
    if not (os.path.exists(target) and os.path.samefile(tokenizer, target)):
        shutil.copyfile(tokenizer, target)


def config(ids):
    c = CONFIG
    return dict(
        architectures=['GptOssForCausalLM'], model_type='gpt_oss', hidden_size=c.hidden, num_hidden_layers=c.layers,
        num_attention_heads=c.heads, num_key_value_heads=c.kv_heads, head_dim=c.head_dim, num_local_experts=c.experts,
        num_experts_per_tok=c.top_k, experts_per_token=c.top_k, intermediate_size=c.inter, sliding_window=c.window,
        layer_types=['sliding_attention', 'full_attention'] * (c.layers // 2), rope_theta=int(c.rope_theta),
        rope_scaling=dict(rope_type='yarn', factor=c.rope_factor, beta_fast=c.beta_fast, beta_slow=c.beta_slow,
                          original_max_position_embeddings=c.rope_context, truncate=False),
        max_position_embeddings=131072, initial_context_length=c.rope_context, rms_norm_eps=c.eps, swiglu_limit=c.swiglu_limit,
        hidden_act='silu', attention_bias=True, attention_dropout=0.0, tie_word_embeddings=False, vocab_size=c.vocab,
        torch_dtype='bfloat16', eos_token_id=ids['end'], pad_token_id=ids['endoftext'],
        quantization_config=dict(quant_method='mxfp4', modules_to_not_convert=['model.layers.*.self_attn', 'model.layers.*.mlp.router', 'model.embed_tokens', 'lm_head']))


def load(folder):
    """The state dict of Model, in float32, with the values that the file has."""
    data = load_file(os.path.join(folder, 'model.safetensors'))
    state = {here: data[there].float() for there, here in names().items()}
    for there, here in expert_names().items():
        state[here] = from_mxfp4(data[there + '_blocks'], data[there + '_scales'])
    return state
