#!/usr/bin/env python3
"""Writes a file as an array in C.

usage: embed.py INPUT HEADER NAME > OUTPUT.c

HEADER declares `extern const unsigned char NAME[]` and `extern const size_t NAME_len`.
"""
import sys


def main():
    path, header, name = sys.argv[1:]
    with open(path, "rb") as file:
        data = file.read()
    print(f'#include "{header}"\n\nconst size_t {name}_len = {len(data)};')
    print(f"const unsigned char {name}[] = {{")
    for at in range(0, len(data), 16):
        print("    " + ", ".join(str(byte) for byte in data[at:at + 16]) + ",")
    print("};")


main()
