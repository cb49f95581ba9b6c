"""A registry for Python and for npm on one port of the loopback: simple index, packuments, wheels and tarballs."""

import base64
import hashlib
import io
import json
import sys
import tarfile
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])


def wheel(name, version, files, requires=(), extras=(), scripts=()):
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    metadata += [f"Provides-Extra: {extra}" for extra in extras]
    metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = dict(files)
    files[f"{info}/METADATA"] = "\n".join(metadata) + "\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    if scripts:
        files[f"{info}/entry_points.txt"] = "[console_scripts]\n" + "\n".join(scripts) + "\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return f"{name}-{version}-py3-none-any.whl", data.getvalue()


def tarball(manifest, files):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in {"package.json": json.dumps(manifest), **files}.items():
            entry = tarfile.TarInfo("package/" + path)
            entry.size = len(text.encode())
            entry.mode = 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    return manifest, data.getvalue()


WHEELS = {
    "greet": [
        wheel("greet", "1.0", {"greet.py": "VERSION = '1.0'\n"}),
        wheel(
            "greet",
            "2.0",
            {"greet.py": "import words\nVERSION = '2.0'\n\n\ndef main():\n    print('hello from the program')\n"},
            requires=["words>=1", "shout; extra == 'loud'"],
            extras=["loud"],
            scripts=["greet = greet:main"],
        ),
    ],
    "words": [wheel("words", "1.5", {"words.py": "WORDS = ['hello']\n"})],
    "shout": [wheel("shout", "0.1", {"shout.py": "def shout(text):\n    return text.upper()\n"})],
    "slow-poke": [],
}

TARBALLS = {
    "quiet-note": [
        tarball({"name": "quiet-note", "version": "1.1.0", "main": "index.js"}, {"index.js": "exports.note = 'do'\n"})
    ],
    "@acme/tools": [
        tarball(
            {
                "name": "@acme/tools",
                "version": "1.2.0",
                "type": "module",
                "exports": "./index.js",
                "bin": {"acme-tool": "./tool.js"},
                "dependencies": {"quiet-note": "^1.0.0"},
            },
            {
                "index.js": "import { note } from 'quiet-note'\nexport const tool = `tool with ${note}`\n",
                "tool.js": "#!/usr/bin/env node\nconsole.log('the tool runs')\n",
            },
        )
    ],
}


def packument(name):
    versions = {}
    for manifest, data in TARBALLS[name]:
        version = manifest["version"]
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        url = f"http://127.0.0.1:{PORT}/tarballs/{name}/{version}.tgz"
        versions[version] = {**manifest, "dist": {"tarball": url, "integrity": integrity}}
    return {"name": name, "dist-tags": {"latest": max(versions)}, "versions": versions}


class Registry(BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.replace("%2f", "/").replace("%2F", "/").strip("/")
        kind, _, rest = path.partition("/")
        if kind == "simple" and rest == "slow-poke":
            print("asked for slow-poke", flush=True)
            sys.stdin.read()
        if kind == "simple" and rest in WHEELS:
            links = "".join(f'<a href="/wheels/{file}">{file}</a>\n' for file, _ in WHEELS[rest])
            return self.answer("text/html", f"<!doctype html><html><body>{links}</body></html>".encode())
        if kind == "wheels":
            found = [data for wheels in WHEELS.values() for file, data in wheels if file == rest]
            return self.answer("application/zip", found[0])
        if kind == "npm" and rest in TARBALLS:
            return self.answer("application/json", json.dumps(packument(rest)).encode())
        if kind == "tarballs":
            name, _, version = rest.rpartition("/")
            found = [data for manifest, data in TARBALLS[name] if manifest["version"] + ".tgz" == version]
            return self.answer("application/octet-stream", found[0])
        self.send_error(404)

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", PORT), Registry)
print("ready", flush=True)
server.serve_forever()
