# Runs once for a machine, before the memory is saved that each session of the
# full interpreter begins with.

def _warm():
    import gc, io, os, sys

    os.environ["MPLCONFIGDIR"] = "/mnt/data/.matplotlib"  # in the folder of this run
    import asyncio, base64, collections, contextlib, copy, csv, datetime, decimal, difflib, fractions
    import functools, glob, hashlib, heapq, inspect, itertools, json, math, operator, pathlib, pickle
    import random, re, shutil, sqlite3, statistics, string, tempfile, textwrap, time, traceback, typing
    import unicodedata, urllib.parse, uuid, warnings, zipfile, zoneinfo
    import matplotlib
    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd

    # First uses import more and fill caches, fonts above all.
    frame = pd.DataFrame({"k": list("abca"), "v": [1.5, 2.0, 3.5, 4.0], "t": pd.date_range("2024-01-01", periods=4)})
    repr(frame), frame._repr_html_(), frame.describe(), frame.groupby("k")["v"].agg(["sum", "mean"])
    frame.merge(frame, on="k").sort_values("v_x").pivot_table(index="k", values="v_y")
    text = frame.to_csv(index=False)
    pd.read_csv(io.StringIO(text), parse_dates=["t"])
    np.linalg.solve(np.eye(3), np.ones(3)), np.random.default_rng(1).normal(size=3), repr(np.arange(3))
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], label="l")
    axes.set_title("t")
    axes.set_xlabel("x")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png")
    plt.close("all")
    del frame, text, figure, axes
    del os.environ["MPLCONFIGDIR"]
    matplotlib.font_manager._get_font.cache_clear()  # fonts that are in use keep their files open
    gc.collect()
    for fd in range(4, 256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        raise RuntimeError("file %d is open: a copy of the memory would take another file for it" % fd)
    gc.freeze()  # what lives now is never looked at again, so its pages stay shared


_warm()
