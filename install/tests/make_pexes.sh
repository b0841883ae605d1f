#!/usr/bin/env bash
# Makes DIR with the real pex files that tests/differential installs: one per trap of the format.
# Needs /usr/bin/python3 (3.9 or newer, with venv) and PyPI. Pexes that exist are kept: remove one to make it anew.
# Usage: make_pexes.sh DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && cd "$1"
unset PYTHONDONTWRITEBYTECODE PEX_PATH
export PEX_ROOT=$PWD/pex-root

for version in 2.105 2.59; do
  [[ -x venv-$version/bin/pex ]] && continue
  /usr/bin/python3 -m venv "venv-$version"
  "venv-$version/bin/pip" -q install uv
  "venv-$version/bin/uv" -q pip install --python "venv-$version/bin/python" "pex==$version.*"
done
pex() { venv-2.105/bin/pex "$@"; }
old_pex() { venv-2.59/bin/pex "$@"; }
uv() { venv-2.105/bin/uv -q "$@"; }
missing() { [[ ! -f $1 ]] && echo "making $1"; }

# A resolved environment is turned into a pex in seconds; resolving with pex takes a minute.
from_venv() { # NAME REQUIREMENT… -- PEX-OPTION…
  local name=$1 requirements=(); shift
  while [[ $# -gt 0 && $1 != -- ]]; do requirements+=("$1"); shift; done
  [[ $# -gt 0 ]] && shift
  [[ -d from-$name ]] || uv venv --python /usr/bin/python3 "from-$name"
  uv pip install --python "from-$name/bin/python" "${requirements[@]}"
  pex --venv-repository "from-$name" "${requirements[@]}" -o "$name.pex" "$@"
}

python3 "$here/make_sources.py" .

! missing source.pex || pex -D sources/plain -o source.pex
! missing source-2.59.pex || old_pex -D sources/plain -o source-2.59.pex
! missing entry.pex || pex -D sources/plain -e shop.main:run --inject-env GREETING=hello --inject-args '--first "second third"' -o entry.pex
! missing collisions.pex || pex wheels/left-1.0-py3-none-any.whl wheels/right-1.0-py3-none-any.whl -o collisions.pex
! missing schemes.pex || pex wheels/schemes-1.0-py3-none-any.whl -o schemes.pex
! missing schemes-files.pex || pex --no-pre-install-wheels wheels/schemes-1.0-py3-none-any.whl -o schemes-files.pex
! missing extensions.pex || pex 'numpy==1.26.4' 'markupsafe==2.1.5' 'greenlet==3.1.1' -o extensions.pex
! missing scripts.pex || pex 'jmespath==1.0.1' 'pyyaml==6.0.2' 'jupyterlab-pygments==0.3.0' 'pygments==2.18.0' -c pygmentize -o scripts.pex
! missing scripts-files.pex || pex --no-pre-install-wheels 'jmespath==1.0.1' 'pyyaml==6.0.2' 'jupyterlab-pygments==0.3.0' 'pygments==2.18.0' -c pygmentize -o scripts-files.pex
! missing scripts-2.59.pex || old_pex 'jmespath==1.0.1' 'pyyaml==6.0.2' 'jupyterlab-pygments==0.3.0' 'pygments==2.18.0' -c pygmentize -o scripts-2.59.pex
! missing namespaces.pex || pex 'zope.interface==5.5.2' 'zope.event==4.6' 'setuptools==75.3.0' 'sphinxcontrib-jsmath==1.0.1' 'sphinxcontrib-htmlhelp==2.0.1' \
  'googleapis-common-protos==1.66.0' 'protobuf==5.29.1' 'ruamel.yaml==0.18.6' --no-strip-pex-env -o namespaces.pex
! missing overrides.pex || pex 'markupsafe==2.1.5' 'pyyaml==6.0.2' -D sources/overrides -o overrides.pex
! missing platforms.pex || pex --platform manylinux2014_x86_64-cp-310-cp310 --platform manylinux2014_x86_64-cp-311-cp311 --no-build \
  'markupsafe==2.1.5' 'pyyaml==6.0.2' 'tomli==2.0.1; python_version < "3.11"' 'click==8.1.7' --interpreter-constraint 'CPython>=3.10,<3.12' -o platforms.pex
! missing foreign.pex || pex --platform macosx_11_0_arm64-cp-312-cp312 --no-build 'markupsafe==2.1.5' -o foreign.pex
[[ -d packed ]] || pex --layout packed 'click==8.1.7' -o packed
! missing packed.pex || (cd packed && python3 -m zipfile -c ../packed.pex .bootstrap .deps PEX-INFO __main__.py __pex__)
! missing dagster.pex || from_venv dagster 'dagster==1.13.27' 'dagster-cloud==1.13.27' pandas -- --no-strip-pex-env
! missing dagster-files.pex || from_venv dagster-files 'dagster==1.13.27' 'dagster-cloud==1.13.27' pandas -- --no-compress --no-pre-install-wheels
ls -l ./*.pex
