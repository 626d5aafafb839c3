#include "vectors.h"

#include <dirent.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/parse.h"
#include "check.h"

void vectors_path(char *out, size_t size, const char *name)
{
    (void)snprintf(out, size, "%s/%s", VECTORS_DIR, name);
}

struct tl_str vectors_read(struct tl_arena *arena, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = tl_arena_alloc(arena, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size + 1, file), size);
    (void)fclose(file);
    return (struct tl_str){ .text = text, .len = (size_t)size };
}

void vectors_each(struct tl_arena *arena, const char *folder, void (*run)(struct tl_str text))
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", VECTORS_DIR, folder);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    size_t count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
            run(vectors_read(arena, path));
            count++;
        }
    }
    (void)closedir(dir);
    assert_true(count > 0);
}

const struct tl_json *vectors_section(struct tl_arena *arena, const char *section)
{
    struct tl_str text = vectors_read(arena, "evidence.json");
    const struct tl_json *root = NULL;
    check_ok(tl_json_read(arena, text.text, text.len, &tl_json_limits_format, &root, NULL));
    return vectors_get(root, section);
}

const struct tl_json *vectors_get(const struct tl_json *object, const char *name)
{
    const struct tl_json *member = tl_json_member(object, name);
    if (member == NULL) {
        fail_msg("no member '%s'", name);
    }
    return member;
}

struct tl_str vectors_text(const struct tl_json *object, const char *name)
{
    const struct tl_json *member = vectors_get(object, name);
    assert_int_equal(member->type, TL_JSON_STRING);
    return member->text;
}

uint64_t vectors_u64(const struct tl_json *object, const char *name)
{
    struct tl_str text = vectors_get(object, name)->text;
    uint64_t value = 0;
    check_ok(tl_parse_u64(text.text, text.len, UINT64_MAX, &value));
    return value;
}

void vectors_bytes(uint8_t *out, size_t len, const struct tl_json *object, const char *name)
{
    struct tl_str text = vectors_text(object, name);
    check_ok(tl_hex_decode(out, len, text.text, text.len));
}

struct tl_str vectors_blob(struct tl_arena *arena, const struct tl_json *object, const char *name)
{
    size_t len = vectors_text(object, name).len / 2;
    char *bytes = tl_arena_alloc(arena, len + 1);
    assert_non_null(bytes);
    vectors_bytes((uint8_t *)bytes, len, object, name);
    return (struct tl_str){ .text = bytes, .len = len };
}

void vectors_check(const struct tl_json *object, const char *name, const void *bytes, size_t len)
{
    struct tl_str text = vectors_text(object, name);
    char *hex = tl_alloc_array(2 * len + 1, 1);
    assert_non_null(hex);
    tl_hex_encode(hex, bytes, len);
    if (!tl_str_is(text, hex)) {
        fail_msg("'%s' is %s", name, hex);
    }
    tl_free(hex);
}

void vectors_check_text(const struct tl_json *object, const char *name, struct tl_str text)
{
    if (!tl_str_equal(vectors_text(object, name), text)) {
        fail_msg("'%s' is %.*s", name, (int)text.len, text.text);
    }
}
