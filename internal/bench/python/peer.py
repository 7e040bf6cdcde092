# Runs pieces of code and answers each with the CPU seconds that it took.
import platform, sys, time

print(platform.python_version(), flush=True)
scope = {}
while size := sys.stdin.buffer.readline():
    code = compile(sys.stdin.buffer.read(int(size)), "<code>", "exec")
    start = time.process_time()
    exec(code, scope)
    print(time.process_time() - start, flush=True)
