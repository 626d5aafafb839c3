/* Targets of anchors: text into what it means. */
#include "ledger/anchor.h"

static const struct {
    const char *prefix;
    enum tl_anchor_kind kind;
    size_t skip; /* of the prefix: the rest of it belongs to the URL */
} kinds[] = {
    { "file:", TL_ANCHOR_FILE, 5 },           { "git:", TL_ANCHOR_GIT, 4 },
    { "https://", TL_ANCHOR_HTTP, 0 },        { "http://", TL_ANCHOR_HTTP, 0 },
    { "rfc3161+http", TL_ANCHOR_RFC3161, 8 }, { "witness+http", TL_ANCHOR_WITNESS, 8 },
};

static tally_status split_witness(struct tl_anchor_target *out, struct tally_error *err)
{
    char *hash = strchr(out->place, '#');
    if (hash == NULL) {
        return tl_fail(err, TALLY_EINVAL,
                       "'%.200s': a '#' and the verifier key of the witness are missing",
                       out->text);
    }
    *hash = '\0';
    tally_status status = tl_vkey_parse(&out->witness, tl_str_of(hash + 1), err);
    if (status == TALLY_OK && out->witness.type != TL_NOTE_TYPE_COSIGNED) {
        status = tl_fail(err, TALLY_EINVAL, "'%.200s': the key is not one of a witness (type 04)",
                         out->text);
    }
    return status;
}

/* Queries often are secrets: nobody but the server gets to see them. */
static void cut_query(char *text)
{
    char *query = strchr(text, '?');
    if (query == NULL) {
        return;
    }
    size_t rest = strcspn(query, "#");
    memmove(query, query + rest, strlen(query + rest) + 1);
}

tally_status tl_anchor_target_read(struct tl_anchor_target *out, struct tl_str text,
                                   struct tally_error *err)
{
    struct tl_anchor_target target = { 0 };
    if (text.len >= sizeof(target.text) || memchr(text.text, '\0', text.len) != NULL) {
        return tl_fail(err, TALLY_EINVAL, "a target is longer than %u bytes",
                       TL_ANCHOR_TARGET_MAX - 1);
    }
    tl_str_copy(target.text, sizeof(target.text), text);
    for (size_t i = 0; i < TL_ARRAY_LEN(kinds) && target.kind == 0; i++) {
        if (tl_str_starts(text, tl_str_of(kinds[i].prefix))) {
            target.kind = kinds[i].kind;
            tl_str_copy(target.place, sizeof(target.place),
                        (struct tl_str){ .text = text.text + kinds[i].skip,
                                         .len = text.len - kinds[i].skip });
        }
    }
    if (target.kind == 0) {
        return tl_fail(err, TALLY_EINVAL,
                       "'%.200s' is no target: file:/PATH, git:/DIR, https://HOST/PATH, "
                       "rfc3161+https://HOST/PATH or witness+https://HOST/PATH#VKEY",
                       target.text);
    }
    if (target.kind == TL_ANCHOR_WITNESS) {
        TL_TRY(split_witness(&target, err));
    }
    if (target.kind == TL_ANCHOR_FILE || target.kind == TL_ANCHOR_GIT) {
        if (target.place[0] != '/') {
            return tl_fail(err, TALLY_EINVAL, "'%.200s': the path is to be absolute", target.text);
        }
    } else {
        char host[TL_HTTP_HOST_MAX];
        TL_TRY(tl_http_host(host, target.place, err));
        cut_query(target.text);
    }
    *out = target;
    return TALLY_OK;
}

tally_status tl_anchor_path(char out[TL_PATH_SIZE], const struct tally_ledger *ledger,
                            struct tl_str configured, struct tally_error *err)
{
    char name[TL_PATH_SIZE];
    if (configured.len >= sizeof(name)) {
        return tl_fail(err, TALLY_EINVAL, "a path in the configuration is too long");
    }
    tl_str_copy(name, sizeof(name), configured);
    if (name[0] == '\0' || name[0] == '/' || ledger->paths.memory) {
        memcpy(out, name, sizeof(name));
        return TALLY_OK;
    }
    return tl_path_join(out, ledger->paths.dir, name, err);
}
