# Compiles the sources listed on stdin and says what each came to. Run as `PYTHON -I -S -W ignore -c`.
#
# One question a line: a JSON list [source, byte code, package], package being what relative imports start from, or
# null if nobody wants to know what the source imports. One answer a line: a JSON list [outcome, imports], outcome
# being "compiled", "present" (there was byte code), "broken" (Python cannot compile it) or "full" (no room).
import errno, json, marshal, os, sys
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash
from opcode import EXTENDED_ARG, opmap

HEADER_BYTES = 16  # PEP 552
IMPORT_NAME, LOAD_CONST, LOAD_SMALL_INT = (opmap.get(name) for name in ("IMPORT_NAME", "LOAD_CONST", "LOAD_SMALL_INT"))


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
    return code


def imports(code, package):
    """What importing the module imports: the names in its own code, not those in its functions and classes."""
    names, level, members, wide = [], 0, None, 0
    for op, arg in zip(code.co_code[::2], code.co_code[1::2]):
        arg |= wide
        wide = arg << 8 if op == EXTENDED_ARG else 0
        # An import is three instructions: push the level, push the tuple of members or None, import (dis docs).
        if op == LOAD_CONST:
            level, members = members, code.co_consts[arg]
        elif op == LOAD_SMALL_INT:
            level, members = members, arg
        elif op == IMPORT_NAME:
            names += absolute(code.co_names[arg], level, members or (), package)
    return names


def absolute(name, level, members, package):
    if level:
        parents = package.split(".")
        name = ".".join(parents[: len(parents) - level + 1] + [name] * bool(name))
    return [name] + ["%s.%s" % (name, member) for member in members if member != "*"]


def answer(source, byte_code, package):
    try:
        if os.path.exists(byte_code):
            outcome = "present"
            with open(byte_code, "rb") as file:
                code = marshal.loads(file.read()[HEADER_BYTES:])
        else:
            outcome, code = "compiled", compile_one(source, byte_code)
    except OSError as error:
        return "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "broken", []
    except (EOFError, MemoryError, OverflowError, RecursionError, SyntaxError, TypeError, ValueError):
        return "broken", []
    if package is None:
        return outcome, []
    try:
        return outcome, imports(code, package)
    except (IndexError, TypeError):
        # A Python whose byte code is not like this: then the imports are found when the program starts.
        return outcome, []


os.umask(0o022)
# Generated sources nest deeper than the default allows for.
sys.setrecursionlimit(5000)
for line in sys.stdin:
    print(json.dumps(answer(*json.loads(line))), flush=True)
