# Runs inside the sandbox, before the first cell, and stays underneath all of
# them. _serve reads cells from a private descriptor, runs them in a lasting
# __main__, and reports how they ended. In the full interpreter, the memory may
# be saved and copied between this code and _serve.
#
# A cell shares the interpreter with this code, so it may break whatever it can
# reach. What is needed later is therefore held in local names, restored before
# each cell and checked after it; where that does not help, the interpreter
# ends itself and the host starts another.

def _serve():
    import ast, builtins, io, linecache, os, re, sys, traceback, types

    control = os.open("/dev/cell", os.O_RDWR)
    read, write, fstat, leave = os.read, os.write, os.fstat, os._exit
    compile_, eval_, repr_, isinstance_, len_, range_ = compile, eval, repr, isinstance, len, range
    type_, str_, int_, bytes_, memoryview_ = type, str, int, bytes, memoryview
    BaseException_, SystemExit_, ModuleNotFoundError_ = BaseException, SystemExit, ModuleNotFoundError
    BytesIO, FileIO, TextIOWrapper = io.BytesIO, io.FileIO, io.TextIOWrapper
    TracebackException = traceback.TracebackException
    settrace, setprofile, get_limit, set_limit = sys.settrace, sys.setprofile, sys.getrecursionlimit, sys.setrecursionlimit
    nonce = read(control, 16)
    builtins.display = _display
    space, fill, names = builtins.__dict__, dict.update, dict(vars(builtins))
    here = sys._getframe().f_code.co_filename
    library = traceback.print_exc.__code__.co_filename[:-len("traceback.py")]
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    coroutine = 0x80  # inspect.CO_COROUTINE
    chunk = 1 << 18
    result = "<result>"  # no name that a cell could write
    main = types.ModuleType("__main__")
    figures = _figures(os, sys)
    missing = _missing(sys)
    misleading = (". Site initialization is disabled, did you forget to add the site-packages directory "
                  "to sys.path or to enable your virtual environment?")
    main.__builtins__ = builtins
    scope = main.__dict__
    lines = linecache.cache

    def identity(fd):
        s = fstat(fd)
        return s.st_mode, s.st_dev, s.st_ino

    stdout, stderr = identity(1), identity(2)
    empty = out = err = None, None  # sys.stdin, sys.stdout, sys.stderr, and what is below them
    shown = None  # what a simple statement gave
    simple = re.compile(r"[^\s#;:\\@][^\n\r\f#;:\\]*").fullmatch  # source that can be no more than one such

    def send(kind, data=b""):
        write(control, nonce + kind + data)

    def encode(text):
        return str_.encode(text, "utf-8", "backslashreplace")

    def send_text(kind, text):
        data = memoryview_(encode(text))
        for at in range_(0, len_(data), chunk):
            send(kind, bytes_(data[at:at + chunk]))

    def receive():
        size = int_.from_bytes(read(control, 8), "little")
        data = b""
        while len_(data) < size:
            more = read(control, size - len_(data))
            if not more:
                leave(1)
            data += more
        return bytes_.decode(data, "utf-8", "replace")

    def stream(raw):
        return raw, TextIOWrapper(raw, "utf-8", "backslashreplace", write_through=True)

    def intact(raw, text, attributes):
        """Whether a stream is as it was made, as far as can be seen."""
        try:
            return (text.buffer is raw and not text.closed and text.encoding == "utf-8" and text.errors == "backslashreplace"
                    and text.write_through and not text.__dict__ and raw.__dict__ == attributes)
        except BaseException_:
            return False

    def quiet():
        """Ends tracing. A trace function that raises is ended by that too."""
        settrace(None)
        setprofile(None)

    def restore():
        """Gives the next cell what it expects."""
        nonlocal empty, out, err
        if get_limit() < 500:
            set_limit(1000)
        fill(space, names)
        if not intact(*empty, {}):
            empty = stream(BytesIO())
        if not intact(*out, {"name": 1}):
            out = stream(FileIO(1, "w", closefd=False))
        if not intact(*err, {"name": 2}):
            err = stream(FileIO(2, "w", closefd=False))
        sys.stdin = sys.__stdin__ = empty[1]
        sys.stdout = sys.__stdout__ = out[1]
        sys.stderr = sys.__stderr__ = err[1]
        sys.displayhook = display
        sys.modules["__main__"], sys.modules["sys"], sys.modules["builtins"] = main, sys, builtins
        scope["__builtins__"] = builtins

    def healthy():
        return identity(1) == stdout and identity(2) == stderr and compile_("0", here, "eval", ast.PyCF_ONLY_AST) is not None

    def execute(code):
        done = eval_(code, scope)
        if code.co_flags & coroutine:
            import asyncio
            asyncio.run(done)

    def display(value):
        """What a simple statement calls with its value, as sys.displayhook."""
        nonlocal shown
        shown = value

    def evaluate(source, name):
        """Runs a cell and returns the value of its last statement."""
        nonlocal shown
        if simple(source):  # this mode of the compiler does it without a tree of objects
            shown = None
            execute(compile_(source + "\n", name, "single", flags))
            value, shown = shown, None
            return value
        tree = compile_(source, name, "exec", flags | ast.PyCF_ONLY_AST)
        last = tree.body[-1] if tree.body else None
        if isinstance_(last, ast.Expr):  # a part of one piece of code, as that has one event loop
            kept = ast.copy_location(ast.Name(result, ast.Store()), last)
            tree.body[-1] = ast.copy_location(ast.Assign([kept], last.value), last)
        execute(compile_(tree, name, "exec", flags))
        return scope.pop(result, None)

    def run(source, name):
        lines[name] = len_(source), None, source.splitlines(True), name
        value = evaluate(source, name)
        if value is not None:
            builtins._ = value
            send_text(b"v", repr_(value))

    def shorten(at):
        """Takes the middle out of a traceback with more frames than Python's
        own recursion limit leads to: to format those would take minutes."""
        depth, head, tail, last = 0, at, at, at
        while last is not None:
            last = last.tb_next
            depth += 1
            if depth < 50:
                head = last
            elif depth > 100:
                tail = tail.tb_next
        if depth > 2000:
            head.tb_next = tail

    def explain(error):
        """The traceback without the frames of this file, and not too long."""
        at = error.__traceback__
        while at is not None and at.tb_frame.f_code.co_filename == here:
            at = at.tb_next
        shorten(at)
        text = "".join(TracebackException(type_(error), error, at, compact=True).format())
        text = text.replace(library, "")
        if isinstance_(error, ModuleNotFoundError_):
            text = text.replace(misleading, "") + missing
        rows = text.splitlines(True)
        if len_(rows) > 60:
            rows[20:-35] = ["  ... %d lines left out ...\n" % (len_(rows) - 55)]
        return "".join(rows)

    def report(error):
        """Says how a cell failed; each step may fail again if the error is built to."""
        kind = type_(error).__name__
        try:
            message = str_(error)
        except BaseException_:
            message = "<no text: str() of the error failed>"
        if isinstance_(error, SystemExit_):
            trace = "" if error.code in (None, 0) else "SystemExit: %s\n" % message
        else:
            try:
                trace = explain(error)
            except BaseException_:
                trace = "%s: %s\n" % (kind, message)
        send_text(b"e", trace)
        return encode(kind[:200]) + b"\0" + encode(message[:4000])

    def cell(source, name):
        """Returns type and text of the error that ended the cell, or nothing."""
        try:
            run(source, name)
            quiet()
            for path in figures():
                send_text(b"n", "[figure saved: %s]\n" % path)
            return b""
        except BaseException_ as error:
            try:
                quiet()
                restore()
                return report(error)
            except BaseException_:  # most likely out of memory
                error.__traceback__ = None  # lets go of what the cell held
                return encode(type_(error).__name__[:200]) + b"\0"

    _renew(sys)
    sys.argv, sys.orig_argv = [""], ["python"]
    sys.path.insert(0, "")
    os.chdir("/mnt/data")
    send(b"r")
    count = 0
    while True:
        source = receive()
        count += 1
        try:
            restore()
            ended = cell(source, "<cell %d>" % count)
            if not healthy():
                leave(120)
        except BaseException_:
            leave(120)
        send(b"d", ended)


def _display(*values):
    """What notebooks have for showing values amid a cell."""
    for value in values:
        print(repr(value))


_display.__name__ = _display.__qualname__ = "display"


def _missing(sys):
    """What is said about a module that can't be imported."""
    if "numpy" not in sys.modules:
        return "Only the standard library is here, and nothing can be installed.\n"
    return "Nothing can be installed. There are numpy, pandas, matplotlib, scipy, scikit-learn, statsmodels, sympy and other packages; help('modules') lists them.\n"


def _renew(sys):
    """Gives an interpreter whose memory is a copy randomness of its own. What
    asks the system each time (os.urandom, secrets, uuid4) has it anyway."""
    for name in "random", "numpy.random", "uuid", "tempfile":
        module = sys.modules.get(name)
        if module is None:
            continue
        if name == "uuid":
            module._node = module._last_timestamp = None
        elif name == "tempfile":
            module._name_sequence = None
        else:
            module.seed()


def _figures(os, sys):
    """Returns a function that saves the figures left open, closes them and
    returns their paths. plt.show() does the same at once."""
    shown = []

    def save():
        plt = sys.modules.get("matplotlib.pyplot")
        numbers = plt.get_fignums() if plt else ()
        try:
            for number in numbers:
                n = 1
                while os.path.lexists(path := "/mnt/data/figure-%d.png" % n):
                    n += 1
                draw(plt.figure(number), path)
                shown.append(path)
        finally:  # a figure that can't be drawn fails one cell, not all that follow
            if numbers:
                plt.close("all")

    def draw(figure, path):
        try:
            figure.savefig(path, bbox_inches="tight")
        except BaseException:
            if os.path.lexists(path):
                os.remove(path)
            raise

    def show(*args, **kwargs):
        save()

    def take():
        save()
        paths = shown[:]
        shown.clear()
        return paths

    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].show = show
    return take


def _cap_recursion():
    """Bounds the recursion limit: without it, Python fills the memory with
    millions of frames, and an error then takes minutes to come out of them."""
    import sys
    set_limit = sys.setrecursionlimit

    def setrecursionlimit(limit):
        set_limit(min(limit, 500_000))

    sys.setrecursionlimit = setrecursionlimit


def _patch_asyncio():
    """Lets asyncio's loop do without sockets and threads: nothing outside the
    interpreter can wake it, so it only ever sleeps until the next timer."""

    import sys, time

    def patch():
        import asyncio.base_events as base, asyncio.selector_events as events, selectors

        class Timer(selectors._BaseSelectorImpl):
            def select(self, timeout=None):
                if timeout is None:
                    raise RuntimeError("asyncio waits for something that can't happen here: no timer or task is left")
                if timeout > 0:
                    time.sleep(timeout)
                return []

        def run_inline(self, executor, func, *args):
            future = self.create_future()
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)
            return future

        selectors.DefaultSelector = Timer
        loop = events.BaseSelectorEventLoop
        loop._make_self_pipe = loop._close_self_pipe = loop._write_to_self = lambda self: None
        base.BaseEventLoop.run_in_executor = run_inline

    class Loader:
        def __init__(self, loader):
            self.loader = loader

        def create_module(self, spec):
            return None

        def exec_module(self, module):
            self.loader.exec_module(module)
            patch()

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "asyncio.unix_events":
                return None
            import importlib.util
            sys.meta_path.remove(Finder)
            spec = importlib.util.find_spec(name)
            spec.loader = Loader(spec.loader)
            return spec

    sys.meta_path.insert(0, Finder)


_cap_recursion()
_patch_asyncio()
