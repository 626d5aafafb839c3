/*
 * Signs any request, with any key if the first line is one. What is signed has a line for each act,
 * the same again, and holds what its payload says: read and written again it does not change.
 */
#include <tally/tally.h>

#include <string.h>

#include "codec/json.h"
#include "fuzz.h"

#define KEY_START "PRIVATE+KEY+"
#define LINE_LEN  ((size_t)93) /* base64 of an approval, and a newline */

static const char fixed_key[] =
    "PRIVATE+KEY+anna+13b48f02+AXRnLhzC5JPLSf75AbSAsNgpK27FyiArLTg2KtaLOZ6z\n";

static void check_approval(const char *request, const char *approval, const char *key)
{
    struct tl_arena arena;
    const struct tl_json *root = NULL;
    tl_arena_init(&arena, (size_t)256 << 20);
    tl_assert(tl_json_read(&arena, request, strlen(request), &tl_json_limits_format, &root, NULL) ==
              TALLY_OK);
    const struct tl_json *acts = tl_json_member(root, "acts");
    tl_assert(acts != NULL && strlen(approval) == acts->count * LINE_LEN);

    /* Written in its one canonical way the request gets the same signatures. */
    struct tl_buf again;
    char *same = NULL;
    tl_buf_init(&again, (size_t)16 << 20);
    tl_json_write(&again, root);
    tl_buf_add_char(&again, '\0');
    tl_assert(tally_approve(again.data, key, &same, NULL) == TALLY_OK);
    tl_assert(strcmp(same, approval) == 0);
    tally_free(same);
    tl_buf_release(&again);
    tl_arena_release(&arena);
}

bool fuzz_one(const uint8_t *data, size_t len)
{
    char *text = tl_alloc_array(len + 1, 1);
    char *approval = NULL;
    tl_assert(text != NULL);
    memcpy(text, data, len);
    text[len] = '\0';
    const char *key = fixed_key;
    const char *request = text;
    char *line = strchr(text, '\n');
    if (line != NULL && strncmp(text, KEY_START, sizeof(KEY_START) - 1) == 0) {
        *line = '\0';
        key = text;
        request = line + 1;
    }
    bool accepted = tally_approve(request, key, &approval, NULL) == TALLY_OK;
    tl_assert(accepted == (approval != NULL));
    if (accepted) {
        check_approval(request, approval, key);
    }
    tally_free(approval);
    tl_free(text);
    return accepted;
}
