#!/usr/bin/env python3
"""Writes the files of a folder as a table in C: server/assets.h.

usage: embed_web.py FILE... > OUTPUT.c
"""
import pathlib
import sys


def main():
    paths = sorted(pathlib.Path(arg) for arg in sys.argv[1:])
    print('#include "server/assets.h"\n')
    for n, path in enumerate(paths):
        data = path.read_bytes()
        print(f"static const unsigned char asset_{n}[] = {{")
        for at in range(0, len(data), 16):
            print("    " + ", ".join(str(byte) for byte in data[at:at + 16]) + ",")
        print("    0 };")
    print("\nconst struct tl_asset tl_assets[] = {")
    for n, path in enumerate(paths):
        print(f'    {{ "{path.name}", asset_{n}, sizeof(asset_{n}) - 1 }},')
    print("};")
    print("const size_t tl_asset_count = sizeof(tl_assets) / sizeof(tl_assets[0]);")


main()
