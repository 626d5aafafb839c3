/* Witnesses: asked for a cosignature, believed only with their own key. */
#include <stdio.h>

#include "ledger/anchor.h"
#include "ledger/nodes.h"
#include "project/witness.h"

#define REQUEST_BYTES_MAX ((size_t)TL_NOTE_LEN_MAX + (size_t)64 * TL_PROOF_MAX)

/* The newest of the kept checkpoints that the witness has signed: what it knows of the ledger, unless
 * something was lost on the way. */
struct known {
    const struct tl_vkey *key;
    struct tl_note *note;
    uint64_t size;
};

static tally_status look_for_line(void *ctx, const struct tally_checkpoint *checkpoint)
{
    struct known *known = ctx;
    const char *name = known->key->name;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    /* Most have no such line: parsing them all would take seconds. */
    if (memmem(checkpoint->note, checkpoint->note_len, name, strlen(name)) == NULL ||
        tl_note_parse(known->note, checkpoint->note, checkpoint->note_len, NULL) != TALLY_OK) {
        return TALLY_OK;
    }
    TL_TRY(tl_note_verify(known->note, known->key, &verdict, NULL));
    if (verdict == TL_NOTE_GOOD) {
        known->size = checkpoint->size;
    }
    return TALLY_OK;
}

/* One conversation. */
struct talk {
    struct tl_anchor_run *run;
    const struct tl_anchor_target *target;
    struct tl_nodes *nodes;
    struct tl_proof *proof;
    struct tl_buf request;
    struct tl_http_answer answer;
};

static tally_status find_known(struct talk *talk, struct tally_store *store, uint64_t *size_out,
                               struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_note *note = tl_alloc_array(1, sizeof(*note));
    if (note == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot read checkpoints");
    }
    struct known known = { .key = &talk->target->witness, .note = note };
    TL_TRY(tl_store_scan_checkpoints(store, 0, look_for_line, &known, err));
    uint64_t size = talk->run->note.body.size;
    *size_out = known.size < size ? known.size : size;
    return TALLY_OK;
}

static tally_status prove(struct talk *talk, struct tally_store *store, uint64_t old_size,
                          struct tally_error *err)
{
    uint64_t size = talk->run->note.body.size;
    talk->proof->count = 0;
    *talk->nodes = (struct tl_nodes){ .store = store, .size = size, .err = err };
    return old_size == 0 || old_size == size
               ? TALLY_OK
               : tl_proof_consistency(talk->proof, old_size, size, tl_nodes_get, talk->nodes);
}

/* Runs one of the two above on a snapshot. With `old_size` NULL none is to be found out. */
static tally_status consult(struct talk *talk, uint64_t *old_size, bool find,
                            struct tally_error *err)
{
    struct tl_reader reader;
    TL_TRY(tl_reader_get(talk->run->ledger, &reader, err));
    tally_status status = tl_reader_begin(&reader, err);
    if (status == TALLY_OK && find) {
        status = find_known(talk, reader.store, old_size, err);
    }
    if (status == TALLY_OK) {
        status = prove(talk, reader.store, *old_size, err);
    }
    tl_reader_put(talk->run->ledger, &reader);
    return status;
}

static tally_status ask(struct talk *talk, uint64_t old_size, struct tally_error *err)
{
    char url[TL_ANCHOR_TARGET_MAX + 16];
    const char *place = talk->target->place;
    size_t len = strlen(place);
    len -= len > 0 && place[len - 1] == '/';
    (void)snprintf(url, sizeof(url), "%.*s/add-checkpoint", (int)len, place);
    tl_buf_clear(&talk->request);
    tl_witness_request(&talk->request, old_size, talk->proof, tl_buf_str(&talk->run->note.text));
    if (tl_buf_status(&talk->request) != TALLY_OK) {
        return tl_fail(err, tl_buf_status(&talk->request), "cannot make a request");
    }
    tl_http_answer_release(&talk->answer);
    return tl_anchor_post(talk->run, url, "text/plain; charset=utf-8", tl_buf_str(&talk->request),
                          &talk->answer, err);
}

static tally_status refuse(long status, struct tally_error *err)
{
    switch (status) {
    case 400:
        return tl_fail(err, TALLY_EREFUSED, "the witness could not read the request (400)");
    case 403:
        return tl_fail(err, TALLY_EREFUSED,
                       "the witness does not trust the key that signed the checkpoint (403)");
    case 404:
        return tl_fail(err, TALLY_EREFUSED, "the witness does not know this ledger's origin (404)");
    case 409:
        return tl_fail(err, TALLY_ECONFLICT,
                       "the witness has seen something else of this ledger (409)");
    case 422:
        return tl_fail(err, TALLY_ECONFLICT,
                       "what the witness has seen is not the start of this ledger, it says (422)");
    default:
        return tl_fail(err, TALLY_EREFUSED, "the witness did not sign: HTTP status %ld", status);
    }
}

/* The witness knows another size than we thought; once, that is in order. */
static tally_status ask_again(struct talk *talk, uint64_t asked, struct tally_error *err)
{
    uint64_t seen = 0;
    uint64_t size = talk->run->note.body.size;
    if (tl_witness_read_size(&seen, tl_buf_str(&talk->answer.body)) != TALLY_OK) {
        return tl_fail(err, TALLY_ECORRUPT,
                       "the witness has seen something else, and does not say what (409)");
    }
    if (seen > size) {
        return tl_fail(err, TALLY_ECONFLICT,
                       "the witness has seen %llu leaves, and this ledger has %llu: it was rolled "
                       "back, or is another one; run 'tally verify'",
                       (unsigned long long)seen, (unsigned long long)size);
    }
    if (seen == asked) {
        return refuse(409, err);
    }
    TL_TRY(consult(talk, &seen, false, err));
    return ask(talk, seen, err);
}

static tally_status take_line(struct talk *talk, struct tally_error *err)
{
    struct tl_anchor_run *run = talk->run;
    const struct tl_vkey *key = &talk->target->witness;
    uint64_t time_s = 0;
    struct tl_buf line;
    tl_buf_init(&line, TL_NOTE_LEN_MAX);
    tally_status status = tl_witness_read_line(&line, &time_s, tl_buf_str(&run->note.text),
                                               tl_buf_str(&talk->answer.body), key, err);
    if (status == TALLY_OK) {
        tl_buf_add_str(&run->note.text, tl_buf_str(&line));
        status = tl_buf_status(&run->note.text) == TALLY_OK
                     ? tl_anchor_keep(run, err)
                     : tl_fail(err, TALLY_ELIMIT, "the checkpoint has no room for more lines");
    }
    tl_buf_release(&line);
    TL_TRY(status);
    (void)snprintf(run->detail, sizeof(run->detail), "signed by '%.200s' at %llu", key->name,
                   (unsigned long long)time_s);
    return TALLY_OK;
}

static tally_status converse(struct talk *talk, struct tally_error *err)
{
    uint64_t old_size = 0;
    enum tl_note_verdict verdict = TL_NOTE_NO_LINE;
    struct tl_anchor_run *run = talk->run;
    TL_TRY(tl_note_verify(&run->note.parsed, &talk->target->witness, &verdict, NULL));
    if (verdict == TL_NOTE_GOOD) {
        (void)snprintf(run->detail, sizeof(run->detail), "signed already");
        return TALLY_OK;
    }
    TL_TRY(consult(talk, &old_size, true, err));
    TL_TRY(ask(talk, old_size, err));
    if (talk->answer.status == 409) {
        TL_TRY(ask_again(talk, old_size, err));
    }
    return talk->answer.status == 200 ? take_line(talk, err) : refuse(talk->answer.status, err);
}

tally_status tl_anchor_to_witness(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                                  struct tally_error *err)
{
    TL_CLEANUP(tl_freep) struct tl_nodes *nodes = tl_alloc_array(1, sizeof(*nodes));
    TL_CLEANUP(tl_freep) struct tl_proof *proof = tl_alloc_array(1, sizeof(*proof));
    if (nodes == NULL || proof == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate a proof");
    }
    struct talk talk = { .run = run, .target = target, .nodes = nodes, .proof = proof };
    tl_buf_init(&talk.request, REQUEST_BYTES_MAX);
    tally_status status = converse(&talk, err);
    tl_buf_release(&talk.request);
    tl_http_answer_release(&talk.answer);
    return status;
}
