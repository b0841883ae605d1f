# What pexvisor asks of every interpreter that it finds; run as `PYTHON -I -S -c`, prints one JSON object.
# It must run on any Python 3 and import nothing but the standard library.
import json, os, platform, sys, sysconfig


def libc():
    try:
        name, version = os.confstr("CS_GNU_LIBC_VERSION").split()
        major, minor = version.split(".")[:2]
        return {"name": "glibc", "major": int(major), "minor": int(minor)}
    except (AttributeError, ValueError, OSError):
        pass
    import glob, re, subprocess

    for loader in glob.glob("/lib/ld-musl-*.so.1"):
        said = subprocess.Popen([loader], stderr=subprocess.PIPE, universal_newlines=True).communicate()[1]
        found = re.search(r"Version (\d+)\.(\d+)", said)
        if found:
            return {"name": "musl", "major": int(found.group(1)), "minor": int(found.group(2))}
    return {"name": "unknown"}


def version_text(info):
    kind = {"final": "", "alpha": "a", "beta": "b", "candidate": "rc"}.get(info.releaselevel, info.releaselevel[:1])
    return "%d.%d.%d%s" % (info.major, info.minor, info.micro, kind + str(info.serial) if kind else "")


def base_executable():
    path = getattr(sys, "_base_executable", None) or sys.executable
    if sys.prefix != sys.base_prefix and os.path.realpath(path) == os.path.realpath(sys.executable):
        path = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    return path


import importlib.util

print(
    json.dumps(
        {
            "path": base_executable(),
            "implementation": sys.implementation.name,
            "version": list(sys.version_info[:3]),
            "cache_tag": sys.implementation.cache_tag,
            "magic": "".join("%02x" % byte for byte in importlib.util.MAGIC_NUMBER),
            "soabi": sysconfig.get_config_var("SOABI"),
            "debug": hasattr(sys, "gettotalrefcount"),
            "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
            "platform": sysconfig.get_platform(),
            "libc": libc(),
            "stdlib": [path for path in sys.path if path],
            "markers": {
                "implementation_name": sys.implementation.name,
                "implementation_version": version_text(sys.implementation.version),
                "os_name": os.name,
                "platform_machine": platform.machine(),
                "platform_python_implementation": platform.python_implementation(),
                "platform_release": platform.release(),
                "platform_system": platform.system(),
                "platform_version": platform.version(),
                "python_full_version": platform.python_version(),
                "python_version": ".".join(platform.python_version_tuple()[:2]),
                "sys_platform": sys.platform,
            },
        }
    )
)
