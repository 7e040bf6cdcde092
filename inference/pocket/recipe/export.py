"""Write the running mean of a training STATE as a Hugging Face gpt-oss checkpoint.

usage: export.py STATE FOLDER
"""
import sys

import torch

import checkpoint
import data

if __name__ == '__main__':
    checkpoint.save(torch.load(sys.argv[1])['mean'], sys.argv[2], data.TOKENIZER_FILE)
