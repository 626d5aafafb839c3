#include "ledger/approve.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/random.h"
#include "codec/base64.h"
#include "codec/json.h"
#include "crypto/crypto.h"
#include "ledger/trust.h"

#define REQUEST_VERSION "1"
#define REQUEST_MEMBERS 3u
#define ACT_MEMBERS     2u
#define ACTS_MAX        4096u
#define BLOB_LEN        (4u + TL_ED25519_SIG_LEN)
#define BLOB_TEXT_LEN   92u /* base64 of it */
#define SECRET_PREFIX   "PRIVATE+KEY+"
#define SECRET_SIZE     (sizeof(SECRET_PREFIX) + TL_VKEY_SIZE)
#define REQUEST_ARENA   ((size_t)256 << 20) /* a number of a few bytes is a node when it is read */

_Static_assert((BLOB_LEN + 2) / 3 * 4 == BLOB_TEXT_LEN, "what an approval looks like");

/* One line of an approval. */
struct approval {
    struct tl_str text; /* borrowed */
    uint8_t blob[BLOB_LEN];
    const struct tl_vkey *key; /* NULL: nobody whom the trust file names */
};

/* What acts are checked with. */
struct check {
    const struct tally_ledger *ledger;
    struct tl_trust *trust; /* NULL in memory, where nobody is named */
    struct approval *approvals;
    size_t approval_count;
    struct tl_arena arena;
    struct tl_buf payload;
    struct tl_buf text; /* what was signed */
};

static void check_release(struct check *check)
{
    tl_free(check->trust);
    tl_free(check->approvals);
    tl_arena_release(&check->arena);
    tl_buf_release(&check->payload);
    tl_buf_release(&check->text);
}

static const struct tl_vkey *find_approver(const struct tl_trust *trust, uint32_t key_id)
{
    for (uint32_t i = 0; trust != NULL && i < trust->approver_count; i++) {
        if (trust->approvers[i].key_id == key_id) {
            return &trust->approvers[i];
        }
    }
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Takes the next word off `text`; an empty one at its end. */
static struct tl_str take_word(const char **text)
{
    const char *at = *text;
    while (is_blank(*at)) {
        at++;
    }
    const char *start = at;
    while (*at != '\0' && !is_blank(*at)) {
        at++;
    }
    *text = at;
    return (struct tl_str){ .text = start, .len = (size_t)(at - start) };
}

static tally_status read_approvals(struct check *check, const char *text, struct tally_error *err)
{
    size_t most = strlen(text) / BLOB_TEXT_LEN;
    most = most < ACTS_MAX ? most : ACTS_MAX;
    check->approvals = tl_alloc_array(most, sizeof(*check->approvals));
    if (check->approvals == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate approvals");
    }
    struct tl_str word;
    while ((word = take_word(&text)).len > 0) {
        size_t len = 0;
        uint8_t blob[BLOB_LEN];
        if (check->approval_count == most || word.len != BLOB_TEXT_LEN ||
            tl_base64_decode(blob, sizeof(blob), &len, word.text, word.len) != TALLY_OK ||
            len != sizeof(blob)) {
            return tl_fail(err, TALLY_EINVAL,
                           "the approval is none: it is what 'tally approve' prints");
        }
        struct approval *approval = &check->approvals[check->approval_count++];
        approval->text = word;
        approval->key = find_approver(check->trust, tl_get_be32(blob));
        memcpy(approval->blob, blob, sizeof(blob));
    }
    if (check->approval_count == 0) {
        return tl_fail(err, TALLY_EINVAL, "the approval is empty");
    }
    return TALLY_OK;
}

/* Writes what is to be signed to check->text, and the payload to check->payload. */
static tally_status write_act(struct check *check, const struct tl_control *control,
                              struct tally_error *err)
{
    struct tl_control plain = *control;
    plain.approval = (struct tl_str){ 0 };
    tl_buf_clear(&check->payload);
    tl_buf_clear(&check->text);
    tl_arena_reset(&check->arena);
    TL_TRY(tl_control_format(&check->payload, &plain, err));
    struct tl_str origin =
        plain.kind == TL_LEAF_RESTORE ? plain.origin : tl_str_of(check->ledger->origin);
    struct tl_str payload = tl_buf_str(&check->payload);
    tally_status status = tl_approval_text(&check->text, origin, plain.kind, payload.text,
                                           payload.len, &check->arena);
    return status == TALLY_OK ? TALLY_OK
                              : tl_fail(err, status, "cannot write what is to be signed");
}

/* Puts the approval that is a signature of check->text into the control; false if there is none. */
static tally_status find_approval(struct check *check, struct tl_control *control, size_t at,
                                  bool *found_out, struct tally_error *err)
{
    *found_out = false;
    for (size_t i = 0; i < check->approval_count && !*found_out; i++) {
        /* Mostly they are in the order of the acts. */
        const struct approval *approval = &check->approvals[(at + i) % check->approval_count];
        if (approval->key == NULL) {
            continue;
        }
        tally_status status =
            tl_ed25519_verify(found_out, approval->key->public_key, check->text.data,
                              check->text.len, approval->blob + 4);
        if (status != TALLY_OK) {
            return tl_fail(err, status, "cannot check the approval");
        }
        if (*found_out) {
            control->approval = approval->text;
        }
    }
    return TALLY_OK;
}

static tally_status write_request(struct check *check, const struct tl_control *controls,
                                  size_t count, char **request_out, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf out = { 0 };
    tl_buf_init(&out, TL_REQUEST_BYTES_MAX);
    tl_buf_add_text(&out, "{\"tally_request\": " REQUEST_VERSION ",\n \"origin\": ");
    tl_json_write_string(&out, tl_str_of(check->ledger->origin));
    tl_buf_add_text(&out, ",\n \"acts\": [");
    for (size_t i = 0; i < count && tl_buf_status(&out) == TALLY_OK; i++) {
        TL_TRY(write_act(check, &controls[i], err));
        tl_buf_addf(&out, "%s\n  {\"kind\": \"%s\",\n   \"payload\": ", i == 0 ? "" : ",",
                    tl_leaf_kind_name(controls[i].kind));
        tl_buf_add_str(&out, tl_buf_str(&check->payload));
        tl_buf_add_char(&out, '}');
    }
    tl_buf_add_text(&out, "\n ]}\n");
    tally_status status = tl_buf_status(&out);
    char *text = status == TALLY_OK ? tl_buf_take(&out, NULL) : NULL;
    if (text == NULL) {
        return status == TALLY_ELIMIT
                   ? tl_fail(err, status, "too many acts for one request: do it in smaller steps")
                   : tl_fail(err, TALLY_ENOMEM, "cannot allocate a request");
    }
    *request_out = text;
    return TALLY_OK;
}

/* Why an act that has no approval is not done. */
static tally_status deny(const struct check *check, const struct tl_control *control,
                         struct tally_error *err)
{
    const char *kind = tl_leaf_kind_name(control->kind);
    bool known = false;
    for (size_t i = 0; i < check->approval_count; i++) {
        known = known || check->approvals[i].key != NULL;
    }
    if (check->trust == NULL || check->trust->approver_count == 0) {
        return tl_fail_code(
            err, TALLY_EDENIED, "approval_needed",
            "%s needs a second person's signature, and the ledger's trust file names "
            "no approver: add a line '#tally approver', from 'tally approve "
            "--new-key'",
            kind);
    }
    if (check->approval_count == 0) {
        return tl_fail_code(
            err, TALLY_EDENIED, "approval_needed",
            "%s needs a second person's signature: 'tally approve' makes it from the "
            "request",
            kind);
    }
    if (!known) {
        return tl_fail_code(err, TALLY_EDENIED, "approver_unknown",
                            "the approval is by nobody whom the ledger's trust file names");
    }
    return tl_fail_code(
        err, TALLY_ECONFLICT, "approval_mismatch",
        "the approval is not of this %s as it stands now: have the new request signed", kind);
}

/* Checks all acts; *missing_out is the first that lacks an approval, or `count`. */
static tally_status check_acts(struct check *check, struct tl_control *controls, size_t count,
                               size_t *missing_out, struct tally_error *err)
{
    bool found = check->approval_count > 0;
    size_t at = 0;
    while (at < count && found) {
        TL_TRY(write_act(check, &controls[at], err));
        TL_TRY(find_approval(check, &controls[at], at, &found, err));
        at += found;
    }
    *missing_out = at;
    return TALLY_OK;
}

static bool is_needed(const struct tl_trust *trust, const struct tl_control *controls, size_t count)
{
    for (size_t i = 0; trust != NULL && i < count; i++) {
        if ((trust->approve_kinds >> ((uint32_t)controls[i].kind - TL_LEAF_GENESIS) & 1) != 0) {
            return true;
        }
    }
    return false;
}

/* Without the file nobody knows who must sign what: then nothing is done. */
static tally_status read_trust(struct check *check, struct tally_error *err)
{
    const char *path = check->ledger->paths.trust;
    tally_status status = tl_trust_read(&check->trust, path, err);
    return status != TALLY_ENOTFOUND
               ? status
               : tl_fail(err, status, "the trust file '%s' is missing: it says who must approve",
                         path);
}

static tally_status approve(struct check *check, struct tl_control *controls, size_t count,
                            const struct tally_actor *actor, bool always, char **request_out,
                            struct tally_error *err)
{
    if (!check->ledger->paths.memory) {
        TL_TRY(read_trust(check, err));
    }
    if (actor->approval == NULL && !always && !is_needed(check->trust, controls, count)) {
        return TALLY_OK;
    }
    if (actor->approval != NULL) {
        TL_TRY(read_approvals(check, actor->approval, err));
    }
    /* One that is not needed is checked all the same: sealed, a wrong one would be a finding. */
    size_t missing = 0;
    TL_TRY(check_acts(check, controls, count, &missing, err));
    if (missing == count) {
        return TALLY_OK;
    }
    if (request_out != NULL) {
        TL_TRY(write_request(check, controls, count, request_out, err));
    }
    return deny(check, &controls[missing], err);
}

tally_status tl_acts_approve(struct tally_ledger *ledger, struct tl_control *controls, size_t count,
                             const struct tally_actor *actor, bool always, char **request_out,
                             struct tally_error *err)
{
    struct check check = { .ledger = ledger };
    tl_arena_init(&check.arena, REQUEST_ARENA);
    tl_buf_init(&check.payload, TL_LEAF_PAYLOAD_MAX);
    tl_buf_init(&check.text, TL_LEAF_PAYLOAD_MAX + TL_ORIGIN_LEN_MAX + 256);
    tally_status status = approve(&check, controls, count, actor, always, request_out, err);
    check_release(&check);
    return status;
}

tally_status tl_act_approve(struct tally_ledger *ledger, struct tl_control *control,
                            const struct tally_actor *actor, bool always, char **request_out,
                            struct tally_error *err)
{
    return tl_acts_approve(ledger, control, 1, actor, always, request_out, err);
}

/* ------------------------------------------------------------------------------------------- */

/* A private key of type 01, as a signed note's tools write it. Wipe it. */
struct approver {
    struct tl_vkey key;
    uint8_t seed[TL_ED25519_KEY_LEN];
};

static void approver_wipe(struct approver *approver)
{
    explicit_bzero(approver, sizeof(*approver));
}

/* Reads "PRIVATE+KEY+name+hash+base64", which names the key that belongs to the seed. */
static tally_status read_secret(struct approver *out, const char *text)
{
    struct tl_str key = take_word(&text);
    if (take_word(&text).len > 0 || !tl_str_starts(key, TL_STR(SECRET_PREFIX))) {
        return TALLY_EINVAL;
    }
    key.text += sizeof(SECRET_PREFIX) - 1;
    key.len -= sizeof(SECRET_PREFIX) - 1;
    const char *plus = memchr(key.text, '+', key.len);
    size_t name_len = plus == NULL ? key.len : (size_t)(plus - key.text);
    size_t hash_len = sizeof("+01234567+") - 1;
    if (key.len <= name_len + hash_len || plus == NULL || plus[hash_len - 1] != '+') {
        return TALLY_EINVAL;
    }
    uint8_t id[4];
    uint8_t typed[1 + TL_ED25519_KEY_LEN];
    uint8_t public_key[TL_ED25519_KEY_LEN];
    size_t len = 0;
    tally_status status = tl_hex_decode(id, sizeof(id), plus + 1, 2 * sizeof(id));
    if (status == TALLY_OK) {
        status = tl_base64_decode(typed, sizeof(typed), &len, plus + hash_len,
                                  key.len - name_len - hash_len);
    }
    if (status == TALLY_OK && (len != sizeof(typed) || typed[0] != TL_NOTE_TYPE_ED25519)) {
        status = TALLY_EINVAL;
    }
    if (status == TALLY_OK) {
        memcpy(out->seed, typed + 1, sizeof(out->seed));
        status = tl_ed25519_public(public_key, out->seed);
    }
    explicit_bzero(typed, sizeof(typed));
    TL_TRY(status);
    TL_TRY(tl_vkey_make(&out->key, (struct tl_str){ key.text, name_len }, TL_NOTE_TYPE_ED25519,
                        public_key, NULL));
    return tl_get_be32(id) == out->key.key_id ? TALLY_OK : TALLY_EINVAL;
}

static bool find_kind(struct tl_str name, enum tl_leaf_kind *kind_out)
{
    for (unsigned kind = TL_LEAF_GENESIS; kind <= TL_LEAF_RESTORE; kind++) {
        if (tl_str_is(name, tl_leaf_kind_name((enum tl_leaf_kind)kind))) {
            *kind_out = (enum tl_leaf_kind)kind;
            return true;
        }
    }
    return false;
}

/* Signs things, one after the other, into `out`. */
struct signer {
    struct approver approver;
    struct tl_str origin;
    struct tl_arena arena; /* of one act */
    struct tl_buf payload;
    struct tl_buf text;
    struct tl_buf out;
};

static tally_status sign_act(struct signer *signer, const struct tl_json *act,
                             struct tally_error *err)
{
    const struct tl_json *name = tl_json_member(act, "kind");
    const struct tl_json *payload = tl_json_member(act, "payload");
    enum tl_leaf_kind kind = TL_LEAF_ENTRY;
    if (name == NULL || payload == NULL || act->count != ACT_MEMBERS ||
        name->type != TL_JSON_STRING || !find_kind(name->text, &kind)) {
        return tl_fail(err, TALLY_EINVAL, "the request has an act that is none");
    }
    tl_buf_clear(&signer->payload);
    tl_buf_clear(&signer->text);
    tl_json_write(&signer->payload, payload);
    TL_TRY(tl_buf_status(&signer->payload));
    tl_arena_reset(&signer->arena);
    struct tl_control control = { 0 };
    struct tl_str text = tl_buf_str(&signer->payload);
    tally_status status =
        tl_control_parse(&control, &signer->arena, kind, text.text, text.len, err);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? status : TALLY_EINVAL;
    }
    if (control.approval.text != NULL) {
        return tl_fail(err, TALLY_EINVAL, "the request holds an approval already");
    }
    TL_TRY(
        tl_approval_text(&signer->text, signer->origin, kind, text.text, text.len, &signer->arena));
    uint8_t blob[BLOB_LEN];
    tl_put_be32(blob, signer->approver.key.key_id);
    TL_TRY(tl_ed25519_sign(blob + 4, signer->approver.seed, signer->approver.key.public_key,
                           signer->text.data, signer->text.len));
    tl_base64_encode(&signer->out, blob, sizeof(blob));
    tl_buf_add_char(&signer->out, '\n');
    return tl_buf_status(&signer->out);
}

static tally_status sign_request(struct signer *signer, const struct tl_json *root,
                                 struct tally_error *err)
{
    const struct tl_json *version = tl_json_member(root, "tally_request");
    const struct tl_json *origin = tl_json_member(root, "origin");
    const struct tl_json *acts = tl_json_member(root, "acts");
    if (version == NULL || origin == NULL || acts == NULL || root->count != REQUEST_MEMBERS ||
        version->type != TL_JSON_NUMBER || !tl_str_is(version->text, REQUEST_VERSION) ||
        origin->type != TL_JSON_STRING || !tl_origin_is_valid(origin->text) ||
        acts->type != TL_JSON_ARRAY || acts->count == 0 || acts->count > ACTS_MAX) {
        return tl_fail(err, TALLY_EINVAL,
                       "this is no request that 'tally erase' or 'tally purge' "
                       "has written");
    }
    signer->origin = origin->text;
    for (const struct tl_json *act = acts->first; act != NULL; act = act->next) {
        TL_TRY(sign_act(signer, act, err));
    }
    return TALLY_OK;
}

static tally_status read_and_sign(struct signer *signer, struct tl_arena *arena,
                                  const char *request, struct tally_error *err)
{
    size_t len = strlen(request);
    const struct tl_json *root = NULL;
    if (len > TL_REQUEST_BYTES_MAX) {
        return tl_fail(err, TALLY_EINVAL, "the request is larger than any");
    }
    tally_status status = tl_json_read(arena, request, len, &tl_json_limits_format, &root, NULL);
    if (status != TALLY_OK) {
        return status == TALLY_ENOMEM ? tl_fail(err, status, "no memory for the request")
                                      : tl_fail(err, TALLY_EINVAL, "the request is no JSON");
    }
    status = sign_request(signer, root, err);
    return status == TALLY_OK ? TALLY_OK : tl_fail(err, status, "cannot sign the request");
}

tally_status tally_approve(const char *request, const char *key, char **approval_out,
                           struct tally_error *err)
{
    if (request == NULL || key == NULL) {
        return tl_fail(err, TALLY_EINVAL, "no request, or no key");
    }
    TL_CLEANUP(tl_arena_release) struct tl_arena arena = { 0 };
    struct signer signer = { .arena = { 0 } };
    tally_status status = read_secret(&signer.approver, key);
    if (status != TALLY_OK) {
        approver_wipe(&signer.approver);
        return status == TALLY_ENOMEM ? tl_fail(err, status, "no memory for the key")
                                      : tl_fail(err, TALLY_EINVAL,
                                                "this is no approver's key: 'tally approve "
                                                "--new-key' makes one");
    }
    tl_arena_init(&arena, REQUEST_ARENA);
    tl_arena_init(&signer.arena, REQUEST_ARENA);
    tl_buf_init(&signer.payload, TL_REQUEST_BYTES_MAX);
    tl_buf_init(&signer.text, TL_REQUEST_BYTES_MAX);
    tl_buf_init(&signer.out, (size_t)ACTS_MAX * (BLOB_TEXT_LEN + 1));
    status = read_and_sign(&signer, &arena, request, err);
    char *approval = status == TALLY_OK ? tl_buf_take(&signer.out, NULL) : NULL;
    approver_wipe(&signer.approver);
    tl_arena_release(&signer.arena);
    tl_buf_release(&signer.payload);
    tl_buf_release(&signer.text);
    tl_buf_release(&signer.out);
    TL_TRY(status);
    if (approval == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an approval");
    }
    *approval_out = approval;
    return TALLY_OK;
}

/* Writes the secret to `out`, of SECRET_SIZE bytes. */
static void format_secret(char *out, const struct approver *approver)
{
    uint8_t typed[1 + TL_ED25519_KEY_LEN] = { TL_NOTE_TYPE_ED25519 };
    memcpy(typed + 1, approver->seed, sizeof(approver->seed));
    struct tl_buf text;
    tl_buf_init_fixed(&text, out, SECRET_SIZE);
    tl_buf_addf(&text, SECRET_PREFIX "%s+%08x+", approver->key.name, approver->key.key_id);
    tl_base64_encode(&text, typed, sizeof(typed));
    tl_buf_add_char(&text, '\n');
    tl_assert(tl_buf_status(&text) == TALLY_OK);
    out[text.len] = '\0';
    explicit_bzero(typed, sizeof(typed));
}

static tally_status make_key(struct approver *approver, const char *name, char **secret_out,
                             char **line_out, struct tally_error *err)
{
    uint8_t public_key[TL_ED25519_KEY_LEN];
    tl_random_bytes(approver->seed, sizeof(approver->seed));
    tally_status status = tl_ed25519_public(public_key, approver->seed);
    if (status != TALLY_OK) {
        return tl_fail(err, status, "cannot make a key");
    }
    TL_TRY(tl_vkey_make(&approver->key, tl_str_of(name), TL_NOTE_TYPE_ED25519, public_key, err));
    char vkey[TL_VKEY_SIZE];
    char line[TL_VKEY_SIZE + 32];
    char secret[SECRET_SIZE];
    tl_vkey_format(vkey, &approver->key);
    (void)snprintf(line, sizeof(line), "#tally approver %s", vkey);
    TL_CLEANUP(tl_freep) char *line_copy = tl_strdup(line);
    format_secret(secret, approver);
    char *secret_copy = line_copy == NULL ? NULL : tl_strdup(secret);
    explicit_bzero(secret, sizeof(secret));
    if (secret_copy == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a key");
    }
    *secret_out = secret_copy;
    *line_out = TL_TAKE(line_copy);
    return TALLY_OK;
}

tally_status tally_approver_key(const char *name, char **secret_out, char **line_out,
                                struct tally_error *err)
{
    if (name == NULL) {
        return tl_fail(err, TALLY_EINVAL, "an approver's key needs a name");
    }
    struct approver approver = { .seed = { 0 } };
    tally_status status = make_key(&approver, name, secret_out, line_out, err);
    approver_wipe(&approver);
    return status;
}
