/*
 * tally/lexigram.h - reproduce and check the row checksums of lexigram-audit.
 *
 * For importers, and for auditors who still hold the key of an old lexigram-audit table. These
 * checksums cover single rows: they cannot show that a row was deleted, repeated or moved.
 */
#ifndef TALLY_LEXIGRAM_H
#define TALLY_LEXIGRAM_H

#include <stddef.h>
#include <stdint.h>

#include <tally/error.h>
#include <tally/export.h>
#include <tally/verdict.h>

TALLY_BEGIN_DECLS

#define TALLY_LEXIGRAM_ANY         (-1) /* verify only: try 2, then 1 */
#define TALLY_LEXIGRAM_UNVERSIONED 0    /* do not add entry_schema_version (before 0.1.0) */
#define TALLY_LEXIGRAM_HEX_SIZE    65   /* 64 characters and a NUL */

/* Added to version 0, 1 or 2: large floats as newer formatters print them, 1e+16 for 1e16. */
#define TALLY_LEXIGRAM_EXPONENT_SIGNED 0x100

/*
 * Writes the checksum of `entry`, the JSON text of an object, under `key`, which may be of any
 * length, and empty. `version` is 0, 1 or 2: what the member entry_schema_version is set to,
 * whatever it was before.
 *
 * Errors: TALLY_EINVAL the version is none of these, or the entry is malformed: no JSON object, a
 *                      member twice, a lone surrogate, U+0000 in a text, an integer outside
 *                      -2^63 ... 2^64-1, a float no double can hold, more than 64 levels
 *         TALLY_ENOMEM
 */
TALLY_API tally_status tally_lexigram_checksum(const char *entry, size_t entry_len,
                                               const uint8_t *key, size_t key_len, int version,
                                               char hex_out[TALLY_LEXIGRAM_HEX_SIZE],
                                               struct tally_error *err);

/*
 * Compares in constant time. *verdict_out: VERIFIED, TAMPERED, or UNVERIFIABLE without a key (NULL)
 * or with an empty or no `expected`. Errors as above: a malformed entry gets no verdict.
 */
TALLY_API tally_status tally_lexigram_verify(const char *entry, size_t entry_len,
                                             const uint8_t *key, size_t key_len, int version,
                                             const char *expected, enum tally_verdict *verdict_out,
                                             struct tally_error *err);

/* The text that is hashed, and a NUL. The caller frees *json_out with tally_free(). Errors as
 * above. */
TALLY_API tally_status tally_lexigram_canonical(const char *entry, size_t entry_len, int version,
                                                char **json_out, size_t *json_len_out,
                                                struct tally_error *err);

/*
 * One stored row: its columns as text, exactly as the database has them; NULL is SQL NULL. From
 * PostgreSQL, read changed_at::text under DateStyle = ISO. Borrowed for the call.
 */
struct tally_lexigram_row {
    size_t struct_size; /* bytes; set by TALLY_LEXIGRAM_ROW_INIT */
    const char *action;
    const char *causation_id;
    const char *changed_at;
    const char *changed_by;
    const char *command_payload_hash;
    const char *correlation_id;
    const char *entity_id;
    const char *entry_schema_version; /* integer; what was hashed is often another */
    const char *metadata;
    const char *new_values;
    const char *old_values;
    const char *outcome;
    const char *payload_size_bytes; /* integer */
    const char *severity;
    const char *source;
    const char *table_name;
    const char *tenant_id;
    const char *checksum; /* not hashed: what the others are compared with */
};

#define TALLY_LEXIGRAM_ROW_INIT                                                                  \
    {                                                                                            \
        sizeof(struct tally_lexigram_row), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, \
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL                                 \
    }

/* How the time was written in what was hashed. */
enum tally_lexigram_layout {
    TALLY_LEXIGRAM_LAYOUT_NONE = 0,
    TALLY_LEXIGRAM_LAYOUT_T = 1,     /* with a T, and six fraction digits or none */
    TALLY_LEXIGRAM_LAYOUT_STORED = 2 /* as the column has it, which is not the same */
};

/* What was found out about a row. */
struct tally_lexigram_match {
    enum tally_verdict verdict;
    enum tally_lexigram_layout layout; /* NONE unless VERIFIED */
    int version;                       /* that was hashed; 0 unless VERIFIED */
    int row_version; /* that the row says; -1 if it is NULL or no number below 2^31 */
};

/*
 * Verifies a stored row: hashes the column texts as they are, never parsing and writing them again,
 * and tries both layouts with the versions 2, 1 and the row's own. UNVERIFIABLE without a key
 * (NULL) or without a checksum. *match_out is set on success alone.
 *
 * Errors: TALLY_EINVAL a column is not UTF-8, or payload_size_bytes is no integer in its plain
 *                      spelling; err names the column
 *         TALLY_ENOMEM
 */
TALLY_API tally_status tally_lexigram_row_verify(const struct tally_lexigram_row *row,
                                                 const uint8_t *key, size_t key_len,
                                                 struct tally_lexigram_match *match_out,
                                                 struct tally_error *err);

TALLY_END_DECLS

#endif /* TALLY_LEXIGRAM_H */
