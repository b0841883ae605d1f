"""Writes the user sources and hand-made wheels that make_pexes.sh builds from: DIR/sources, DIR/wheels.

Each wheel exists for one rule that no small wheel on PyPI shows alone: files that two distributions
both claim, and every scheme of `*.data/`.
"""

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

SOURCES = {
    "plain/shop/__init__.py": "",
    "plain/shop/main.py": (
        "import os, sys\n\n\ndef run():\n    print(os.environ.get('GREETING'), sys.argv[1:])\n    return 0\n"
    ),
    "plain/shop/prices.json": '{"apple": 1}\n',
    # Named like a module of the standard library: whose is imported tells the order of sys.path.
    "plain/wave.py": "MARK = 'last'\n",
    "plain/working_directory/__init__.py": "",
    "plain/working_directory/root/requirements.txt": "dagster\n",
    "overrides/yaml/extra.py": "ADDED = True\n",
    "overrides/markupsafe/_native.py": "OVERRIDDEN = True\n",
    "overrides/wave.py": "MARK = 'first'\n",
    "overrides/top.py": "TOP = 1\n",
}


def wheel(path, name, files, modes=None):
    info = f"{name}-1.0.dist-info"
    files = dict(files)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = ""
    for file, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{file},sha256={digest},{len(text.encode())}\n"
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in files.items():
            entry = zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = ((modes or {}).get(file, 0o100644)) << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)


def main(root):
    for name, text in SOURCES.items():
        path = root / "sources" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    wheels = root / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wheel(
        wheels / "left-1.0-py3-none-any.whl",
        "left",
        {
            "shared/__init__.py": "# left\nONE = 1\n",
            "shared/same.py": "SAME = 1\n",
            "shared/differs.py": "SIDE = 'left'\n",
            "shared/left.py": "",
            "left-1.0.dist-info/entry_points.txt": "[console_scripts]\nboth = shared.differs:main\nleft = shared.left:main\n",
        },
    )
    wheel(
        wheels / "right-1.0-py3-none-any.whl",
        "right",
        {
            "shared/__init__.py": "# right\nONE = 1\n",
            "shared/same.py": "SAME = 1\n",
            "shared/differs.py": "SIDE = 'right'\n",
            "shared/right.py": "",
            "right-1.0.dist-info/entry_points.txt": "[console_scripts]\nboth = shared.right:main\n",
        },
    )
    script = "schemes-1.0.data/scripts/"
    wheel(
        wheels / "schemes-1.0-py3-none-any.whl",
        "schemes",
        {
            "schemes/__init__.py": "NAME = 'schemes'\n",
            "schemes-1.0.data/platlib/schemes_platlib.py": "WHERE = 'platlib'\n",
            "schemes-1.0.data/purelib/schemes_purelib/__init__.py": "WHERE = 'purelib'\n",
            "schemes-1.0.data/data/share/schemes/data.txt": "data\n",
            "schemes-1.0.data/data/etc/schemes.cfg": "[a]\n",
            "schemes-1.0.data/headers/schemes.h": "#define SCHEMES 1\n",
            script + "raw.py": "#!python\nimport schemes, sys\nprint(schemes.NAME, sys.argv[1:])\n",
            script + "raw.sh": "#!/bin/sh\necho shell \"$@\"\n",
            "schemes-1.0.dist-info/entry_points.txt": (
                "[console_scripts]\nschemes-module = schemes_main\nschemes-run = schemes_main:App.run [extra]\n"
                "[gui_scripts]\nschemes-gui = schemes_main:App.run\n"
            ),
            "schemes_main.py": (
                "class App:\n    @staticmethod\n    def run():\n        import sys\n        print('ran', sys.argv[1:])\n        return 3\n"
                "\n\nif __name__ == '__main__':\n    print('module')\n"
            ),
        },
        {script + "raw.py": 0o100755, script + "raw.sh": 0o100755},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
