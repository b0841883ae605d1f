# Compiles the sources listed on stdin (JSON lists [source, byte code], one a line) and says "1" for each that is
# compiled, "0" for each that cannot be, "full" when there is no room. Run as `PYTHON -I -S -W ignore -c`.
import errno, json, os, sys
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash


def compile_one(source, byte_code):
    with open(source, "rb") as file:
        data = file.read()
    # The interpreter sets the real file name when it loads byte code.
    code = compile(data, source, "exec", dont_inherit=True, optimize=0)
    pyc = _code_to_hash_pyc(code, source_hash(data), False)
    try:
        os.mkdir(os.path.dirname(byte_code), 0o755)
    except FileExistsError:
        pass
    staged = "%s.%d" % (byte_code, os.getpid())
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pyc)
        os.rename(staged, byte_code)
    except BaseException:
        os.unlink(staged)
        raise


os.umask(0o022)
try:
    os.nice(15)
except OSError:
    pass
# Generated sources nest deeper than the default allows for.
sys.setrecursionlimit(5000)
for line in sys.stdin:
    try:
        compile_one(*json.loads(line))
        said = "1"
    except OSError as error:
        said = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "0"
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        said = "0"
    sys.stdout.write(said + "\n")
    sys.stdout.flush()
