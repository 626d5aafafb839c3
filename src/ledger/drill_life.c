/* What the copy goes through before it is attacked: each act once, by the public interface where it has
 * one. */
#include "ledger/drill.h"

#include "base/io.h"
#include "evidence/note.h"
#include "ledger/act.h"
#include "ledger/anchor.h"

#define TRUST_BYTES_MAX ((size_t)1 << 20)
#define TOKEN           "the drill's own token\n"
#define CASE            "drill/held"

struct life {
    struct tl_drill *drill;
    struct tally_ledger *ledger;
};

typedef tally_status act_fn(struct life *life, const struct tally_actor *actor, char **request_out,
                            struct tally_error *err);

/* Does an act, and has it approved first if it must be. */
static tally_status act(struct life *life, act_fn *fn, struct tally_error *err)
{
    struct tally_actor actor = { .by = "tally drill", .reason = "drill" };
    struct tally_error why = TALLY_ERROR_INIT;
    char *request = NULL;
    char *approval = NULL;
    tally_status status = fn(life, &actor, &request, &why);
    if (status == TALLY_EDENIED && request != NULL) {
        status = tally_approve(request, life->drill->approver, &approval, &why);
        if (status == TALLY_OK) {
            actor.approval = approval;
            status = fn(life, &actor, NULL, &why);
        }
    }
    tally_free(request);
    tally_free(approval);
    return status == TALLY_OK ? status : tl_fail_with(err, status, &why);
}

static struct tally_range one(const struct life *life, enum tl_drill_role role)
{
    uint64_t seq = life->drill->life + (uint64_t)role;
    return (struct tally_range){ seq, seq };
}

static tally_status rotate(struct life *life, const struct tally_actor *actor, char **request_out,
                           struct tally_error *err)
{
    struct tally_rotated rotated;
    TL_TRY(tally_keys_rotate(life->ledger, 1, actor, &rotated, request_out, err));
    life->drill->acts[TL_DID_KEY] = rotated.seq;
    explicit_bzero(&rotated, sizeof(rotated));
    return TALLY_OK;
}

static tally_status hold_one(struct life *life, enum tl_drill_role role, const char *id,
                             const struct tally_actor *actor, char **request_out, uint64_t *seq_out,
                             struct tally_error *err)
{
    const struct tally_range range = one(life, role);
    const struct tally_selection selection = { .ranges = &range, .range_count = 1 };
    struct tally_held held;
    TL_TRY(tally_hold_add(life->ledger, id, &selection, 0, 0, actor, &held, request_out, err));
    *seq_out = held.seq;
    return TALLY_OK;
}

static tally_status hold(struct life *life, const struct tally_actor *actor, char **request_out,
                         struct tally_error *err)
{
    return hold_one(life, TL_ROLE_HELD, CASE, actor, request_out, &life->drill->acts[TL_DID_HOLD],
                    err);
}

static tally_status hold_for_now(struct life *life, const struct tally_actor *actor,
                                 char **request_out, struct tally_error *err)
{
    uint64_t ignored = 0;
    return hold_one(life, TL_ROLE_RELEASED, TL_DRILL_CASE_CLOSED, actor, request_out, &ignored,
                    err);
}

static tally_status release_it(struct life *life, const struct tally_actor *actor,
                               char **request_out, struct tally_error *err)
{
    TL_TRY(tally_hold_release(life->ledger, TL_DRILL_CASE_CLOSED, actor, request_out, err));
    return tl_acts_newest(life->ledger, &life->drill->acts[TL_DID_RELEASE], err);
}

static tally_status purge(struct life *life, const struct tally_actor *actor, char **request_out,
                          struct tally_error *err)
{
    const struct tally_range ranges[] = {
        { one(life, TL_ROLE_PURGED).first, one(life, TL_ROLE_PURGED).first + 1 },
        one(life, TL_ROLE_HELD),
    };
    struct tally_purge_options options = TALLY_PURGE_OPTIONS_INIT;
    struct tally_purged purged;
    options.ranges = ranges;
    options.range_count = TL_ARRAY_LEN(ranges);
    TL_TRY(tally_purge(life->ledger, &options, actor, &purged, request_out, err));
    life->drill->acts[TL_DID_PURGE] = purged.seq;
    return TALLY_OK;
}

tally_status tl_drill_seal(struct tally_ledger *ledger, const struct tl_control *control,
                           uint64_t *seq_out, struct tally_error *err)
{
    uint64_t newest = 0;
    TL_TRY(tl_acts_newest(ledger, &newest, err));
    return tl_act_seal(ledger, control, newest, seq_out, err);
}

/* Of what was due on the first day of 1970: a purge as it is every day, that finds nothing. */
static tally_status purge_due(struct life *life, const struct tally_actor *actor,
                              char **request_out, struct tally_error *err)
{
    struct tl_control control = { .kind = TL_LEAF_PURGE,
                                  .by = tl_str_of(actor->by),
                                  .before_seq = life->drill->life + TL_ROLE_COUNT };
    TL_TRY(tl_act_approve(life->ledger, &control, actor, false, request_out, err));
    return tl_drill_seal(life->ledger, &control, &life->drill->acts[TL_DID_DUE], err);
}

static tally_status erase_one(struct life *life, enum tl_drill_role role, const char *member,
                              const struct tally_actor *actor, char **request_out,
                              uint64_t *seq_out, struct tally_error *err)
{
    const struct tally_range range = one(life, role);
    const struct tally_condition own = { "action", "tally.drill" };
    struct tally_query query = TALLY_QUERY_INIT;
    struct tally_erase_options options = TALLY_ERASE_OPTIONS_INIT;
    struct tally_erased erased;
    query.conditions = &own; /* a ledger's own events are erased only if they are named */
    query.condition_count = 1;
    options.selection.query = &query;
    options.selection.ranges = &range;
    options.selection.range_count = 1;
    options.members = &member;
    options.member_count = member == NULL ? 0 : 1;
    TL_TRY(tally_erase(life->ledger, &options, actor, &erased, request_out, err));
    *seq_out = erased.seq;
    return TALLY_OK;
}

static tally_status erase(struct life *life, const struct tally_actor *actor, char **request_out,
                          struct tally_error *err)
{
    return erase_one(life, TL_ROLE_ERASED, NULL, actor, request_out,
                     &life->drill->acts[TL_DID_ERASE], err);
}

static tally_status erase_part(struct life *life, const struct tally_actor *actor,
                               char **request_out, struct tally_error *err)
{
    return erase_one(life, TL_ROLE_PARTED, TL_DRILL_MEMBER, actor, request_out,
                     &life->drill->acts[TL_DID_PART], err);
}

static void end_run(struct tl_anchor_run **run_ptr)
{
    struct tl_anchor_run *run = *run_ptr;
    if (run != NULL) {
        tl_store_close(run->writer);
        tl_buf_release(&run->note.text);
        tl_free(run);
    }
    *run_ptr = NULL;
}

static tally_status read_newest(const struct tl_drill *drill, struct tl_buf *note,
                                struct tally_error *err)
{
    struct tl_tamper *db = NULL;
    TL_TRY(tl_tamper_open(&db, tl_drill_db(&drill->sound), err));
    tl_buf_init(note, TL_NOTE_LEN_MAX);
    tally_status status = tl_tamper_get(
        db, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1", NULL, 0, note, NULL, err);
    tl_tamper_close(db);
    return status;
}

/* As tally_anchor() does it, but that the token is made here: nobody is asked in a drill. */
static tally_status anchor(struct life *life, struct tally_error *err)
{
    const struct tl_drill *drill = life->drill;
    TL_CLEANUP(end_run) struct tl_anchor_run *run = tl_alloc_array(1, sizeof(*run));
    if (run == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "cannot allocate an anchoring");
    }
    run->ledger = life->ledger;
    run->by = "tally drill";
    TL_TRY(tl_path_join(run->dir, drill->sound.dir, "anchors", err));
    TL_TRY(read_newest(drill, &run->note.text, err));
    TL_TRY(tl_store_open(&run->writer, drill->sound.store, TALLY_STORE_WRITE, err));
    TL_TRY(tl_anchor_keep(run, err));
    TL_TRY(tl_anchor_seal(run, "object", "drill", TL_STR(TOKEN), err));
    life->drill->acts[TL_DID_ANCHOR] = run->seq;
    return TALLY_OK;
}

/* Keys first: what comes after them can be signed again by who steals the new ones. Then the anchor: it
 * fits no tree in which something before it was signed again. */
static tally_status live(struct life *life, struct tally_error *err)
{
    static act_fn *const fns[] = { erase, hold, hold_for_now, release_it, purge, purge_due };
    TL_TRY(act(life, rotate, err));
    TL_TRY(anchor(life, err));
    for (size_t i = 0; i < TL_ARRAY_LEN(fns); i++) {
        TL_TRY(act(life, fns[i], err));
    }
    struct tally_error why = TALLY_ERROR_INIT;
    tally_status status = act(life, erase_part, &why);
    return status == TALLY_OK || status == TALLY_EINVAL /* the policy may not set it apart */
               ? TALLY_OK
               : tl_fail_with(err, status, &why);
}

/* An approver of the drill's own, whom the copy's trust file names. */
static tally_status add_approver(struct tl_drill *drill, struct tally_error *err)
{
    TL_CLEANUP(tl_buf_release) struct tl_buf text = { 0 };
    TL_CLEANUP(tl_freep) char *trust = NULL;
    size_t len = 0;
    char *line = NULL;
    TL_TRY(tl_io_read_file(drill->sound.trust, TRUST_BYTES_MAX, &trust, &len, err));
    TL_TRY(tally_approver_key("drill.example/approver", &drill->approver, &line, err));
    tl_buf_init(&text, 2 * TRUST_BYTES_MAX);
    tl_buf_add(&text, trust, len);
    tl_buf_add_text(&text, len == 0 || trust[len - 1] == '\n' ? "" : "\n");
    tl_buf_add_text(&text, line);
    tl_buf_add_char(&text, '\n');
    tally_free(line);
    TL_TRY(tl_buf_status(&text));
    return tl_io_replace_file(drill->sound.trust, text.data, text.len, 0600, err);
}

tally_status tl_drill_live(struct tl_drill *drill, struct tally_error *err)
{
    struct life life = { .drill = drill };
    for (size_t i = 0; i < TL_DID_COUNT; i++) {
        drill->acts[i] = TALLY_SEQ_NONE;
    }
    TL_TRY(add_approver(drill, err));
    TL_TRY(tl_drill_ledger(drill, &drill->sound, &life.ledger, err));
    tally_status status = live(&life, err);
    tally_close(life.ledger);
    return status;
}
