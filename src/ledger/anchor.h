/*
 * ledger/anchor.h - what the source files about anchors share: targets, and one run over them.
 */
#ifndef TL_LEDGER_ANCHOR_H
#define TL_LEDGER_ANCHOR_H

#include <tally/anchor.h>

#include "evidence/note.h"
#include "ledger/ledger.h"
#include "project/http.h"

#define TL_ANCHOR_TARGETS_MAX 16u
#define TL_ANCHOR_TARGET_MAX  3072u /* bytes of text */
#define TL_ANCHOR_TOKEN_MAX   65536u
#define TL_ANCHOR_AGE_MAX_S   172800 /* two days; after that tally_doctor() warns */

enum tl_anchor_kind {
    TL_ANCHOR_FILE = 1,
    TL_ANCHOR_GIT,
    TL_ANCHOR_HTTP,
    TL_ANCHOR_RFC3161,
    TL_ANCHOR_WITNESS,
};

/* A target taken apart. */
struct tl_anchor_target {
    enum tl_anchor_kind kind;
    char text[TL_ANCHOR_TARGET_MAX];  /* as it was given, without a query: for people and records */
    char place[TL_ANCHOR_TARGET_MAX]; /* path or URL */
    struct tl_vkey witness;
};

/* Errors: TALLY_EINVAL with the reason */
tally_status tl_anchor_target_read(struct tl_anchor_target *out, struct tl_str text,
                                   struct tally_error *err);

/* Joins a configured path to the ledger's directory unless it is absolute; "" stays "". */
tally_status tl_anchor_path(char out[TL_PATH_SIZE], const struct tally_ledger *ledger,
                            struct tl_str configured, struct tally_error *err);

/* The checkpoint at hand. */
struct tl_anchor_note {
    struct tl_buf text;
    struct tl_note parsed; /* borrows from text */
    struct tl_checkpoint_body body;
};

/* One run. Large: allocated. Confined to its caller's thread. */
struct tl_anchor_run {
    struct tally_ledger *ledger;
    const char *by;
    tally_anchor_fn *fn;
    void *ctx;
    struct tl_anchor_target targets[TL_ANCHOR_TARGETS_MAX];
    size_t target_count;
    char dir[TL_PATH_SIZE];     /* <ledger>/anchors; "" in memory */
    char ca_file[TL_PATH_SIZE]; /* "" for none */
    char *authorities;          /* PEM of anchor.tsa_ca_file; NULL for none */
    size_t authorities_len;
    struct tally_store *writer; /* NULL in memory */
    struct tl_anchor_note note;
    char detail[512]; /* of the target at hand */
    uint64_t seq;     /* of its ANCHOR record */
    size_t failed;
    size_t done;
};

/* anchor_place.c, anchor_witness.c: take the checkpoint to one target, and record that; run->detail
 * says what came of it. */
tally_status tl_anchor_to_file(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                               struct tally_error *err);
tally_status tl_anchor_to_git(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                              struct tally_error *err);
tally_status tl_anchor_to_http(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                               struct tally_error *err);
tally_status tl_anchor_to_authority(struct tl_anchor_run *run,
                                    const struct tl_anchor_target *target, struct tally_error *err);
tally_status tl_anchor_to_witness(struct tl_anchor_run *run, const struct tl_anchor_target *target,
                                  struct tally_error *err);

/* anchor_place.c: POSTs to the target with what is configured. The caller releases *answer. */
tally_status tl_anchor_post(struct tl_anchor_run *run, const char *url, const char *content_type,
                            struct tl_str body, struct tl_http_answer *answer,
                            struct tally_error *err);

/* anchor_token.c: seals an ANCHOR record with `token`, which goes to <ledger>/anchors/<seq>. */
tally_status tl_anchor_seal(struct tl_anchor_run *run, const char *kind, const char *ref,
                            struct tl_str token, struct tally_error *err);
/* Gives tokens that a crash or a failure kept from their place to the records they are of. */
tally_status tl_anchor_recover(struct tl_anchor_run *run, struct tally_error *err);
/* Appends the token of record `seq`. TALLY_ENOTFOUND if it is not there. */
tally_status tl_anchor_token(const struct tl_paths *paths, uint64_t seq, struct tl_buf *out,
                             struct tally_error *err);

/* Notes in <ledger>/anchors/last that all configured targets have a checkpoint now. */
tally_status tl_anchor_note_success(const struct tl_anchor_run *run, struct tally_error *err);
/* When that was last so, in seconds since 1970; 0: never. */
int64_t tl_anchor_last(const struct tl_paths *paths);

/* anchor.c: keeps the checkpoint at hand for ever, with the lines that it has by now. */
tally_status tl_anchor_keep(struct tl_anchor_run *run, struct tally_error *err);

/* anchor_check.c: reads the certificates of anchor.tsa_ca_file; *pem_out stays NULL without one. */
tally_status tl_anchor_authorities(const struct tally_ledger *ledger, char **pem_out,
                                   size_t *len_out, struct tally_error *err);

#endif /* TL_LEDGER_ANCHOR_H */
