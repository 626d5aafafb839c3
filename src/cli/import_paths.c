#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/import.h"

#define DEPTH_MAX 16u

static tally_status add(struct tl_paths *paths, const char *path, struct tally_error *err)
{
    if (paths->count == paths->capacity) {
        size_t capacity = paths->capacity == 0 ? 64 : paths->capacity * 2;
        char **items = tl_realloc_array(paths->items, capacity, sizeof(items[0]));
        if (items == NULL) {
            return tl_fail(err, TALLY_ENOMEM, "out of memory");
        }
        paths->items = items;
        paths->capacity = capacity;
    }
    char *copy = tl_strdup(path);
    if (copy == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    paths->items[paths->count] = copy;
    paths->count++;
    return TALLY_OK;
}

void tl_paths_release(struct tl_paths *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        tl_free(paths->items[i]);
    }
    tl_free(paths->items);
    *paths = (struct tl_paths){ 0 };
}

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Beside logs there are licences, checksums and the like. */
static bool looks_like_events(const char *name)
{
    static const char *const endings[] = { ".json", ".ndjson", ".jsonl", ".csv" };
    size_t len = strlen(name);
    if (len > 3 && strcmp(name + len - 3, ".gz") == 0) {
        len -= 3;
    }
    for (size_t i = 0; i < TL_ARRAY_LEN(endings); i++) {
        size_t ending = strlen(endings[i]);
        if (len > ending && memcmp(name + len - ending, endings[i], ending) == 0) {
            return true;
        }
    }
    return false;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_directory(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* only read */
    }
}

/* Adds what is right in a directory: files to `files`, directories to `folders`. */
static tally_status list(const char *path, struct tl_paths *files, struct tl_paths *folders,
                         struct tally_error *err)
{
    TL_CLEANUP(close_directory) DIR *dir = opendir(path);
    if (dir == NULL) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf name = { 0 };
    tl_buf_init(&name, 65536);
    struct dirent *entry = NULL;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): `dir` is this thread's alone */
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        tl_buf_clear(&name);
        tl_buf_add_text(&name, path);
        tl_buf_addf(&name, "/%s", entry->d_name);
        tl_buf_add_char(&name, '\0');
        TL_TRY(tl_buf_status(&name));
        bool is_folder = is_directory(name.data);
        if (!is_folder && !looks_like_events(entry->d_name)) {
            continue;
        }
        TL_TRY(add(is_folder ? folders : files, name.data, err));
    }
    return TALLY_OK;
}

/* Level by level rather than by calling itself. */
static tally_status add_directory(struct tl_paths *paths, const char *path, struct tally_error *err)
{
    TL_CLEANUP(tl_paths_release) struct tl_paths folders = { 0 };
    TL_CLEANUP(tl_paths_release) struct tl_paths files = { 0 };
    TL_TRY(add(&folders, path, err));
    unsigned depth = 0;
    size_t level_end = 1;
    for (size_t i = 0; i < folders.count && depth < DEPTH_MAX; i++) {
        TL_TRY(list(folders.items[i], &files, &folders, err));
        if (i + 1 == level_end) {
            level_end = folders.count;
            depth++;
        }
    }
    if (depth == DEPTH_MAX) {
        return tl_fail(err, TALLY_ELIMIT, "'%s' is more than %u directories deep", path, DEPTH_MAX);
    }
    if (files.count > 0) {
        qsort(files.items, files.count, sizeof(files.items[0]), compare);
    }
    for (size_t i = 0; i < files.count; i++) {
        TL_TRY(add(paths, files.items[i], err));
    }
    return TALLY_OK;
}

tally_status tl_paths_add(struct tl_paths *paths, const char *path, struct tally_error *err)
{
    if (strcmp(path, "-") != 0 && is_directory(path)) {
        return add_directory(paths, path, err);
    }
    return add(paths, path, err);
}
