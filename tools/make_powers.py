#!/usr/bin/env python3
"""Writes src/codec/number_powers.c, or with --check says whether the file has what it should.

usage: make_powers.py [--check] FILE
"""
import pathlib
import sys

# Reading needs powers from -343 (19 digits that end up as the least double), printing up to 324.
FIRST, LAST = -343, 324

HEAD = """\
/* Made by tools/make_powers.py; a test compares the two. */
#include "codec/number_powers.h"

/* clang-format off */
const struct tl_power tl_powers[TL_POWER_LAST - TL_POWER_FIRST + 1] = {
"""


def power(exponent):
    """floor(10^exponent * 2^s) + 1, with the s that makes it 128 bits long (before adding 1)."""
    top, bottom = (10**exponent, 1) if exponent >= 0 else (1, 10**-exponent)
    shift = 128 - top.bit_length() + bottom.bit_length()
    for s in (shift, shift - 1):
        value = (top << max(s, 0)) // (bottom << max(-s, 0))
        if value.bit_length() == 128:
            return value + 1
    raise AssertionError(exponent)


def lines():
    for exponent in range(FIRST, LAST + 1):
        value = power(exponent)
        yield f"    {{ 0x{value >> 64:016x}u, 0x{value & (1 << 64) - 1:016x}u }}, /* {exponent} */\n"


def main(arguments):
    text = HEAD + "".join(lines()) + "};\n"
    path = pathlib.Path(arguments[-1])
    if arguments[0] != "--check":
        path.write_text(text)
        return 0
    return 0 if path.read_text() == text else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
