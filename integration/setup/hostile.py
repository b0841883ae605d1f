"""Makes pexes that must be refused out of a good one: each is the good pex with one thing wrong.

usage: hostile.py GOOD.pex FOLDER     writes FOLDER/<name>.pex
"""

import json
import random
import struct
import sys
import warnings
import zipfile
from pathlib import Path

GOOD, FOLDER = Path(sys.argv[1]), Path(sys.argv[2])
REGULAR, SYMLINK, DEVICE = 0o100644, 0o120777, 0o020666
BOMB_BYTES = 1 << 30
"""A thousand times the size of the file that holds them."""


def entry(name, mode=REGULAR, compression=zipfile.ZIP_STORED):
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.external_attr = mode << 16
    info.compress_type = compression
    return info


def rebuild(name, extra=(), drop=(), info=None, only=None):
    """The good pex, with entries added or left out and PEX-INFO changed."""
    with zipfile.ZipFile(GOOD) as good, zipfile.ZipFile(FOLDER / f"{name}.pex", "w", zipfile.ZIP_DEFLATED) as out:
        for old in good.infolist():
            if old.filename in drop or (only and old.filename not in only):
                continue
            data = good.read(old)
            if old.filename == "PEX-INFO" and info:
                data = json.dumps(json.loads(data) | info)
            out.writestr(old, data)
        for new, data in extra:
            out.writestr(new, data)


def evil(name, path, mode=REGULAR):
    rebuild(name, [(entry(path, mode), "/etc/passwd" if mode == SYMLINK else "evil")])


def bomb():
    """One entry of zeros, written as a stream: 1 GiB becomes 1 MB."""
    rebuild("bomb")
    with zipfile.ZipFile(FOLDER / "bomb.pex", "a") as out:
        with out.open(entry("zeros.bin", compression=zipfile.ZIP_DEFLATED), "w", force_zip64=True) as stream:
            zeros = bytes(1 << 20)
            for _ in range(BOMB_BYTES >> 20):
                stream.write(zeros)


def overlapping():
    """A second directory entry whose data is the first one's."""
    rebuild("overlapping", [(entry("one.bin"), b"x" * 100_000), (entry("two.bin"), b"x" * 100_000)])
    path = FOLDER / "overlapping.pex"
    with zipfile.ZipFile(path) as made:
        one = made.getinfo("one.bin")
        start = made.start_dir
    data = bytearray(path.read_bytes())
    name_at = data.index(b"two.bin", start)
    struct.pack_into("<L", data, name_at - 46 + 42, one.header_offset)
    path.write_bytes(data)


def damaged():
    good = GOOD.read_bytes()
    (FOLDER / "truncated.pex").write_bytes(good[: len(good) // 2])
    with zipfile.ZipFile(GOOD) as zipped:
        server = zipped.getinfo("tiny_server.py")
    corrupt = bytearray(good)
    for at in range(server.header_offset + 60, server.header_offset + 60 + server.compress_size // 2):
        corrupt[at] ^= 0x55
    (FOLDER / "corrupt.pex").write_bytes(corrupt)
    (FOLDER / "empty.pex").write_bytes(b"")
    (FOLDER / "text.pex").write_bytes(b"this is not a pex\n" * 100)
    (FOLDER / "noise.pex").write_bytes(random.Random(1).randbytes(100_000))
    with zipfile.ZipFile(FOLDER / "plain_zip.pex", "w") as out:
        out.writestr("hello.py", "print('hello')")
    # A scie is a native launcher with the pex behind it.
    (FOLDER / "scie.pex").write_bytes(Path("/bin/true").read_bytes() + good)


def odd_info():
    rebuild("no_pex_info", drop=["PEX-INFO"])
    rebuild("info_not_json", [(entry("PEX-INFO"), "{nonsense")], drop=["PEX-INFO"])
    rebuild("info_not_an_object", [(entry("PEX-INFO"), "[1, 2]")], drop=["PEX-INFO"])
    rebuild("missing_wheel", info={"distributions": {"gone-1.0-py3-none-any.whl": "0" * 64}})
    rebuild("no_interpreter_fits", info={"interpreter_constraints": ["CPython==2.5.*"]})
    rebuild("bad_constraint", info={"interpreter_constraints": ["a snake"]})
    # What a packed pex looks like when its folder is zipped: wheels and bootstrap are zips, not trees.
    rebuild("packed", [(entry(".bootstrap"), "PK")], only=["PEX-INFO", "__main__.py"])


def hostile_entries():
    evil("zip_slip", "../../evil")
    evil("zip_slip_inside", "a/../../../evil")
    evil("absolute", "/tmp/evil")
    evil("backslash", "..\\evil")
    evil("nul_in_name", "evil\x01.py")
    evil("symlink", "evil", SYMLINK)
    evil("device", "evil", DEVICE)
    rebuild("duplicate", [(entry("twice.py"), "1"), (entry("twice.py"), "2")])
    rebuild("file_and_folder", [(entry("both"), "1"), (entry("both/x.py"), "2")])


if __name__ == "__main__":
    warnings.simplefilter("ignore", UserWarning)
    FOLDER.mkdir(parents=True, exist_ok=True)
    damaged()
    odd_info()
    hostile_entries()
    overlapping()
    bomb()
