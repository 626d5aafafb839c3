#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/parse.h"
#include "base/str.h"
#include "cli/cli.h"
#include "codec/time.h"

const struct tl_opt tl_filter_opts[] = {
    { "id", 0, "ID", "the event's own id" },
    { "action", 0, "ACTION", "an action, or a prefix: invoice.*" },
    { "actor-id", 0, "ID", "who did it" },
    { "actor-type", 0, "TYPE", "user, admin, service, ..." },
    { "actor-name", 0, "NAME", "the name of who did it" },
    { "target-type", 0, "TYPE", "the type of what it was done to" },
    { "target-id", 0, "ID", "the id of what it was done to" },
    { "outcome", 0, "OUTCOME", "success, failure, pending, unknown" },
    { "severity", 0, "SEVERITY", "low, medium, high, critical" },
    { "severity-min", 0, "SEVERITY", "this severity and those above" },
    { "service", 0, "SERVICE", "the service that reported it" },
    { "host", 0, "HOST", "where that ran" },
    { "ip", 0, "ADDRESS", "where the request came from" },
    { "transport", 0, "TRANSPORT", "http, grpc, cli, ..." },
    { "tenant-id", 0, "ID", "the tenant" },
    { "correlation-id", 0, "ID", "what it belongs to" },
    { "causation-id", 0, "ID", "what caused it" },
    { "trace-id", 0, "HEX", "W3C trace id" },
    { "span-id", 0, "HEX", "W3C span id" },
    { "request-id", 0, "ID", "the request" },
    { "session-id", 0, "ID", "the session" },
    { "tag", 0, "TAG", "a tag it carries" },
    { "kind", 0, "KIND", "event, gap, epoch, ...; all" },
    { "state", 0, "STATE", "present, partial, erased, purged" },
    { "text", 0, "WORDS", "words in the members that are searched as text" },
    { "from", 0, "TIME", "occurred at or after: 2026-03-14, RFC 3339, -24h, now" },
    { "to", 0, "TIME", "occurred before" },
    { "until", 0, "TIME", "occurred at or before" },
    { "recorded-from", 0, "TIME", "recorded at or after" },
    { "recorded-to", 0, "TIME", "recorded before" },
    { "seq-from", 0, "N", "this position in the ledger or later" },
    { "seq-to", 0, "N", "positions before this one" },
    { "actor", 0, "ID", "the same as --actor-id" },
    { "where", 0, "FIELD=VALUE", "any field, also by one of its other names" },
    { 0 },
};

static bool is_filter(const struct tl_opt *opt)
{
    return opt >= tl_filter_opts && opt < tl_filter_opts + TL_ARRAY_LEN(tl_filter_opts);
}

/* Writes the field that an option stands for to `out`, which has room for `size` bytes. */
static tally_status name_field(char *out, size_t size, const struct tl_given *given,
                               const char **value_out, struct tally_error *err)
{
    const char *name = given->opt->name;
    size_t len = strlen(name);
    *value_out = given->value;
    if (strcmp(name, "actor") == 0) {
        name = "actor_id";
        len = strlen(name);
    } else if (strcmp(name, "where") == 0) {
        const char *equals = strchr(given->value, '=');
        if (equals == NULL || (size_t)(equals - given->value) >= size) {
            return tl_fail(err, TALLY_EINVAL, "option '--where' takes FIELD=VALUE");
        }
        name = given->value;
        len = (size_t)(equals - given->value);
        *value_out = equals + 1;
    }
    tl_assert(len < size);
    for (size_t i = 0; i < len; i++) {
        out[i] = name[i];
        if (out[i] == '-') {
            out[i] = '_';
        }
    }
    out[len] = '\0';
    return TALLY_OK;
}

tally_status tl_query_args_read(struct tl_query_args *out, const struct tl_args *args,
                                struct tally_error *err)
{
    static const size_t name_size = 64;
    struct tl_query_args query = {
        .conditions = tl_alloc_array(args->given_count, sizeof(query.conditions[0])),
        .names = tl_alloc_array(args->given_count, name_size),
    };
    tally_status status = TALLY_OK;
    if (query.conditions == NULL || query.names == NULL) {
        status = tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    for (size_t i = 0; status == TALLY_OK && i < args->given_count; i++) {
        if (is_filter(args->given[i].opt)) {
            char *name = query.names + query.count * name_size;
            struct tally_condition *condition = &query.conditions[query.count];
            condition->field = name;
            status = name_field(name, name_size, &args->given[i], &condition->value, err);
            query.count++;
        }
    }
    if (status != TALLY_OK) {
        tl_query_args_release(&query);
        return status;
    }
    *out = query;
    return TALLY_OK;
}

void tl_query_args_release(struct tl_query_args *query)
{
    tl_free(query->conditions);
    tl_free(query->names);
    *query = (struct tl_query_args){ 0 };
}

tally_status tl_duration_read(uint32_t *seconds_out, const char *text)
{
    static const struct {
        char letter;
        uint32_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
    size_t len = strlen(text);
    uint32_t unit = 1;
    for (size_t i = 0; len > 0 && i < TL_ARRAY_LEN(units); i++) {
        if (text[len - 1] == units[i].letter) {
            unit = units[i].seconds;
            len--;
            break;
        }
    }
    uint64_t count = 0;
    TL_TRY(tl_parse_u64(text, len, UINT32_MAX / unit, &count));
    *seconds_out = (uint32_t)count * unit;
    return TALLY_OK;
}

tally_status tl_end_time_read(int64_t *us_out, const char *text)
{
    size_t len = strlen(text);
    uint32_t seconds = 0;
    if (len > 1 && strchr("smhd", text[len - 1]) != NULL &&
        tl_duration_read(&seconds, text) == TALLY_OK) {
        *us_out = tl_clock->wall_us() + (int64_t)seconds * 1000000;
        return TALLY_OK;
    }
    return tl_time_parse_naive(us_out, tl_str_of(text));
}

static tally_status read_all(int fd, struct tl_buf *buf, const char *path, struct tally_error *err)
{
    for (;;) {
        char *to = tl_buf_reserve(buf, 65536);
        if (to == NULL) {
            return tl_fail(err, tl_buf_status(buf), "'%s' is too large", path);
        }
        ssize_t n = read(fd, to, 65536);
        if (n < 0 && errno != EINTR) {
            return tl_fail_errno(err, TALLY_EIO, errno, "cannot read '%s'", path);
        }
        if (n == 0) {
            return TALLY_OK;
        }
        tl_buf_commit(buf, n < 0 ? 0 : (size_t)n);
    }
}

tally_status tl_file_read(const char *path, size_t len_max, char **text_out, size_t *len_out,
                          struct tally_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    TL_CLEANUP(tl_io_closep)
    int opened = is_stdin ? -1 : tl_io->open(path, O_RDONLY | O_CLOEXEC, 0);
    if (!is_stdin && opened < 0) {
        return tl_fail_errno(err, TALLY_EIO, errno, "cannot open '%s'", path);
    }
    TL_CLEANUP(tl_buf_release) struct tl_buf buf = { 0 };
    tl_buf_init(&buf, len_max + 65536);
    TL_TRY(read_all(is_stdin ? STDIN_FILENO : opened, &buf, path, err));
    char *text = tl_buf_take(&buf, len_out);
    if (text == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "out of memory");
    }
    *text_out = text;
    return TALLY_OK;
}
