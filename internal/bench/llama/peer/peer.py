"""llama.cpp as a peer: reads lines "prefill N" and "decode N" and answers each with
the seconds that it took, by the clock and of the process's CPU time.

    peer.py MODEL.gguf THREADS CONTEXT [INDEX]

With the index of a Vulkan device all layers are on it, else on the CPU. The libraries
are those of a package (nothing is compiled); llama-cpp-python, which was installed
without its own, knows their structs.
"""
import ctypes
import os
import pathlib
import random
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CPU = os.environ.get("PEER_CPU")  # the kernels that it has at most, such as haswell
LIBRARIES = HERE / "node_modules/@node-llama-cpp/linux-x64-vulkan/bins/linux-x64-vulkan"


def load(vulkan):
    """Loads the libraries under the names that the binding looks for."""
    folder = pathlib.Path(tempfile.mkdtemp())
    for f in LIBRARIES.iterdir():
        # With Vulkan's library there, even a model without layers on the GPU sends
        # its prompts to it.
        if not vulkan and "ggml-vulkan" in f.name:
            continue
        if CPU and "ggml-cpu-" in f.name and CPU not in f.name:
            continue
        (folder / f.name).symlink_to(f)
    for stem in ("libllama", "libggml"):
        real = next(f for f in LIBRARIES.iterdir() if f.name.startswith(stem + ".vulkan"))
        (folder / (stem + ".so")).symlink_to(real)
    (folder / "libmtmd.so").symlink_to(folder / "libllama.so")  # not called
    os.environ["LLAMA_CPP_LIB_PATH"] = os.environ["LD_LIBRARY_PATH"] = str(folder)
    ctypes.CDLL(str(folder / "libggml-base.so"), mode=ctypes.RTLD_GLOBAL)
    ggml = ctypes.CDLL(str(folder / "libggml.so"), mode=ctypes.RTLD_GLOBAL)
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path(str(folder).encode())

    found = ctypes.CDLL.__getattr__

    def tolerant(library, name):
        """The binding names functions that the library lacks; they are not called."""
        try:
            return found(library, name)
        except AttributeError:
            return ctypes.CFUNCTYPE(None)(lambda: None)

    ctypes.CDLL.__getattr__ = tolerant
    import llama_cpp
    return llama_cpp


def main():
    path, threads, context = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ.pop("GGML_VK_VISIBLE_DEVICES", None)
    vulkan = len(sys.argv) > 4
    if vulkan:  # also makes it take a software driver
        os.environ["GGML_VK_VISIBLE_DEVICES"] = sys.argv[4]
    llama = load(vulkan)
    llama.llama_backend_init()
    m = llama.llama_model_default_params()
    m.n_gpu_layers = 999 if vulkan else 0
    model = llama.llama_model_load_from_file(path.encode(), m)
    if not model:
        sys.exit("llama.cpp could not load " + path)
    c = llama.llama_context_default_params()
    c.n_ctx, c.n_batch, c.n_ubatch = context, 512, 512
    c.n_threads = c.n_threads_batch = threads
    ctx = llama.llama_init_from_model(model, c)
    vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    noise = random.Random(1)

    def feed(n):
        for first in range(0, n, 512):
            size = min(512, n - first)
            tokens = (llama.llama_token * size)(*(noise.randrange(vocab) for _ in range(size)))  # a batch points to it
            if llama.llama_decode(ctx, llama.llama_batch_get_one(tokens, size)):
                sys.exit("llama_decode failed")
        llama.llama_synchronize(ctx)

    print("ready", flush=True)
    for line in sys.stdin:
        work, n = line.split()
        if work == "prefill":
            llama.llama_memory_clear(llama.llama_get_memory(ctx), True)
        wall, cpu = time.monotonic(), time.process_time()
        if work == "prefill":
            feed(int(n))
        else:
            for _ in range(int(n)):
                feed(1)
        print(time.monotonic() - wall, time.process_time() - cpu, flush=True)
    os._exit(0)  # the library's own end takes seconds on software drivers


main()
