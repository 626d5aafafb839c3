#include "server/http_strict.h"

#include <string.h>

/*
 * Version 0.9.75 takes a header block apart where it came in, and puts NULs over what was between the
 * parts. Its parts are therefore still where they were sent: the distances between them tell what was
 * between them.
 */
struct walk {
    const char *end; /* of the last line that was seen: what follows has to be CRLF */
    bool is_strict;
};

static bool is_known_version(void)
{
    return strcmp(MHD_get_version(), "0.9.75") == 0;
}

static bool is_clean(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7F) {
            return false;
        }
    }
    return true;
}

static enum MHD_Result look_at_line(void *ctx, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct walk *walk = ctx;
    bool is_next = name != NULL && value != NULL && name == walk->end + 2;
    bool is_in_place = is_next && value > name + name_len;
    bool is_whole = is_in_place && strlen(value) == value_len;
    walk->is_strict = walk->is_strict && is_whole;
    walk->end = is_whole ? value + value_len : walk->end;
    return walk->is_strict ? MHD_YES : MHD_NO;
}

bool tl_http_is_strict(struct MHD_Connection *connection, const char *method, const char *path,
                       const char *version)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (!is_known_version() || info == NULL) {
        return true;
    }
    struct walk walk = { .end = version + strlen(version), .is_strict = true };
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, look_at_line, &walk);
    return walk.is_strict && is_clean(path) && path == method + strlen(method) + 1 &&
           method + info->header_size == walk.end + 4;
}
