#!/usr/bin/env python3
"""Gathers the notices and licences of all that is built into the program: its crates, Rust's standard library, fonts.

    src/packaging/third_party.py FOLDER

Texts come from the crates' own sources, each once, with the crates that it stands for. A crate that brings no text gets
this project's text of its licence; one for which there is none fails the command.
"""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FONTS = ROOT / "src/pipeline/papers/fonts"
# LICENSE, LICENCE-MIT, COPYING, COPYRIGHT, NOTICE, UNLICENSE; a folder LICENSES.
TEXT = re.compile(r"(?i)(licen[sc]es?|copying|copyright|notice|unlicense)([-_.].*)?$")


def main(target):
    crates = built_in()
    target.mkdir(parents=True, exist_ok=True)
    notices = target / "crates.txt"
    notices.write_text(told(crates), encoding="utf-8")
    shutil.copy(FONTS / "OFL.txt", target / "fonts-Noto-Sans.txt")
    library = pathlib.Path(asked("rustc", "--print", "sysroot").strip()) / "share/doc/rust/COPYRIGHT-library.html"
    if not library.exists():
        sys.exit(f"{library} is not there: the notices of Rust's standard library, which rustup installs with rustc")
    shutil.copy(library, target / "rust-standard-library.html")
    print(f"{target}: {len(crates)} crates")


def asked(*words):
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def built_in():
    """The crates that the program is made of, on the platform of this machine; neither those of tests nor of build scripts."""
    target = re.search(r"^host: (.*)$", asked("rustc", "-vV"), re.M)[1]
    words = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(asked(*words))
    needs = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, ahead = set(), [root]
    while ahead:
        crate = ahead.pop()
        if crate not in found:
            found.add(crate)
            ahead += [need["pkg"] for need in needs[crate] if any(kind["kind"] is None for kind in need["dep_kinds"])]
    packages = [package for package in metadata["packages"] if package["id"] in found - {root}]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def told(crates):
    of_text, texts = collections.defaultdict(list), {}
    lacking = []
    for crate in crates:
        found = texts_of(crate)
        if not any("NOTICE" not in name.upper() for name, _ in found):
            lacking.append(crate)
        for _, text in found:
            add(of_text, texts, crate, text)
    for crate in lacking:
        add(of_text, texts, crate, stand_in(crate))
    parts = ["aftersalesd is built of these crates. Under each list stands the text that its authors give them out under.\n"]
    parts += [line(crate) for crate in crates]
    for key in sorted(of_text, key=lambda key: (-len(of_text[key]), of_text[key])):
        parts += ["\n" + "=" * 80 + "\n", ", ".join(of_text[key]) + "\n\n", texts[key].strip() + "\n"]
    return "".join(parts)


def line(crate):
    name, version = crate["name"], crate["version"]
    source = f"https://crates.io/crates/{name}/{version}"
    # MPL-2.0, 3.2: whoever gets the program is told how to get the source.
    changed = "; its source, unchanged, is at " + source if "MPL" in licence(crate) else ""
    return f"  {name} {version}: {licence(crate)}{changed}\n"


def licence(crate):
    return crate["license"] or "see its text"


def add(of_text, texts, crate, text):
    # Texts that differ in their line ends and margins alone are one.
    key = " ".join(text.split())
    texts.setdefault(key, text)
    name = f"{crate['name']} {crate['version']}"
    if name not in of_text[key]:
        of_text[key].append(name)


def texts_of(crate):
    folder = pathlib.Path(crate["manifest_path"]).parent
    files = [file for file in sorted(folder.iterdir()) if TEXT.match(file.name)]
    if crate["license_file"]:
        files.append(folder / crate["license_file"])
    below = [file for folder in files if folder.is_dir() for file in sorted(folder.iterdir())]
    whole = [file for file in files + below if file.is_file() and file.suffix not in (".rs", ".py")]
    return [(file.name, file.read_text(encoding="utf-8", errors="replace")) for file in whole]


def stand_in(crate):
    terms = re.split(r"/| OR ", licence(crate))
    if "MIT" in terms:
        text = (ROOT / "LICENSE-MIT").read_text(encoding="utf-8")
        by = ", ".join(crate["authors"]) or f"the authors of {crate['name']}"
        return re.sub(r"(?m)^Copyright .*$", f"Copyright (c) {by}", text)
    if "Apache-2.0" in terms:
        return (ROOT / "LICENSE-APACHE").read_text(encoding="utf-8")
    sys.exit(f"{crate['name']} {crate['version']} ({licence(crate)}) brings no licence text, and there is no other")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: third_party.py FOLDER")
    main(pathlib.Path(sys.argv[1]))
