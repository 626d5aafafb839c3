/* tests/support/vectors.h - reads the files below tests/vectors/. A file that fails fails the test. */
#ifndef TESTS_VECTORS_H
#define TESTS_VECTORS_H

#include "base/arena.h"
#include "codec/json.h"

/* Enough for a file and what is made of it. */
#define VECTORS_ARENA_BYTES ((size_t)64 << 20)

/* Writes the path of a file. */
void vectors_path(char *out, size_t size, const char *name);

/* Reads a whole file; it lives in the arena. */
struct tl_str vectors_read(struct tl_arena *arena, const char *name);

/* Calls `run` with each file of a folder, of which there must be some. */
void vectors_each(struct tl_arena *arena, const char *folder, void (*run)(struct tl_str text));

/* Reads evidence.json and returns one of its sections. */
const struct tl_json *vectors_section(struct tl_arena *arena, const char *section);

/* A member that must be there. */
const struct tl_json *vectors_get(const struct tl_json *object, const char *name);
struct tl_str vectors_text(const struct tl_json *object, const char *name);
uint64_t vectors_u64(const struct tl_json *object, const char *name); /* a number or its text */

/* A member of exactly `len` bytes in hex. */
void vectors_bytes(uint8_t *out, size_t len, const struct tl_json *object, const char *name);

/* A member of any number of bytes in hex; lives in the arena. */
struct tl_str vectors_blob(struct tl_arena *arena, const struct tl_json *object, const char *name);

/* Checks that bytes are those of a member in hex. */
void vectors_check(const struct tl_json *object, const char *name, const void *bytes, size_t len);

/* Checks that a text is that of a member. */
void vectors_check_text(const struct tl_json *object, const char *name, struct tl_str text);

#endif /* TESTS_VECTORS_H */
