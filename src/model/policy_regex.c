/*
 * Regular expressions of a policy, by PCRE2.
 *
 * Nobody who logs may wait for an expression. PCRE2's own limits do not bound its time: they count
 * backtracking, for each start anew, and not the characters that an item runs over. So expressions
 * are compiled to call us before each item, and pay for the call and for every character since the
 * one before. Where the budget ends the search, the text could hold anything, and is masked.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/limits.h"
#include "model/policy_parts.h"

#define MATCH_HEAP_KIB  4096u /* without machine code */
#define JIT_STACK_FIRST ((size_t)32 << 10)
#define JIT_STACK_MAX   ((size_t)2 << 20)

/* In characters; what one event may cost is about a second. */
#define WORK_OF_EVENT (UINT64_C(1) << 28)
#define WORK_OF_TEXT  (UINT64_C(1) << 26)
#define WORK_OF_LOOK  UINT64_C(64)
#define WORK_OF_ITEM  UINT64_C(8)

#define ROUNDS_MAX 16u /* in which expressions may see each other's masks */

static const struct tl_str mask = { TL_POLICY_MASK, sizeof(TL_POLICY_MASK) - 1 };

struct tl_policy_regex {
    pcre2_code *code;
};

struct tl_policy_matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack; /* 64 KiB are all that some threads have */
    struct tl_buf other;    /* the text before the expression at hand */
    uint64_t event_work;    /* that is left */
    uint64_t text_work;     /* likewise */
    size_t at;              /* where the last item was tried */
};

static void *take_memory(size_t size, void *ctx)
{
    (void)ctx;
    return tl_alloc_array(size, 1);
}

static void give_memory(void *memory, void *ctx)
{
    (void)ctx;
    tl_free(memory);
}

static void free_general(pcre2_general_context **general)
{
    pcre2_general_context_free(*general);
}

static void free_compile(pcre2_compile_context **compile)
{
    pcre2_compile_context_free(*compile);
}

tally_status tl_policy_regex_new(struct tl_policy_regex **regex_out, struct tl_str text,
                                 struct tally_error *err)
{
    TL_CLEANUP(free_general)
    pcre2_general_context *general = pcre2_general_context_create(take_memory, give_memory, NULL);
    TL_CLEANUP(free_compile) pcre2_compile_context *compile = NULL;
    TL_CLEANUP(tl_freep) struct tl_policy_regex *regex = tl_alloc_array(1, sizeof(*regex));
    if (general != NULL) {
        compile = pcre2_compile_context_create(general);
    }
    if (regex == NULL || compile == NULL) {
        return tl_fail(err, TALLY_ENOMEM, "no memory for an expression");
    }
    int code = 0;
    PCRE2_SIZE at = 0;
    regex->code = pcre2_compile((PCRE2_SPTR)text.text, text.len,
                                PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT, &code,
                                &at, compile);
    if (regex->code == NULL) {
        if (code == PCRE2_ERROR_HEAP_FAILED) {
            return tl_fail(err, TALLY_ENOMEM, "no memory for an expression");
        }
        PCRE2_UCHAR message[128];
        (void)pcre2_get_error_message(code, message, sizeof(message)); /* cut if it is longer */
        return tl_fail(err, TALLY_EINVAL, "%s at byte %zu", (const char *)message, at);
    }
    /* Where there is none, or it may not make code, expressions are interpreted. */
    (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE);
    *regex_out = TL_TAKE(regex);
    return TALLY_OK;
}

void tl_policy_regex_free(struct tl_policy_regex *regex)
{
    if (regex != NULL) {
        pcre2_code_free(regex->code);
        tl_free(regex);
    }
}

void tl_policy_matcher_free(struct tl_policy_matcher *matcher)
{
    if (matcher != NULL) {
        pcre2_match_data_free(matcher->data);
        pcre2_match_context_free(matcher->context);
        pcre2_jit_stack_free(matcher->stack);
        tl_buf_release(&matcher->other);
        tl_free(matcher);
    }
}

static void free_matcher(struct tl_policy_matcher **matcher)
{
    tl_policy_matcher_free(*matcher);
}

/* Whether there is enough left for this work, which is then done. */
static bool pay(struct tl_policy_matcher *matcher, uint64_t work)
{
    if (work > matcher->text_work) {
        return false;
    }
    matcher->text_work -= work;
    return true;
}

/* PCRE2 calls this before each item of an expression. */
static int pay_item(pcre2_callout_block *block, void *ctx)
{
    struct tl_policy_matcher *matcher = ctx;
    size_t at = block->current_position;
    size_t moved = at > matcher->at ? at - matcher->at : matcher->at - at;
    matcher->at = at;
    return pay(matcher, moved + WORK_OF_ITEM) ? 0 : PCRE2_ERROR_CALLOUT;
}

tally_status tl_policy_matcher_new(struct tl_policy_matcher **matcher_out)
{
    TL_CLEANUP(free_general)
    pcre2_general_context *general = pcre2_general_context_create(take_memory, give_memory, NULL);
    TL_CLEANUP(free_matcher)
    struct tl_policy_matcher *matcher = tl_alloc_array(1, sizeof(*matcher));
    if (general == NULL || matcher == NULL) {
        return TALLY_ENOMEM;
    }
    tl_buf_init(&matcher->other, TL_INPUT_BYTES_MAX * mask.len); /* a mask for every byte */
    matcher->context = pcre2_match_context_create(general);
    matcher->data = pcre2_match_data_create(1, general);
    if (matcher->context == NULL || matcher->data == NULL) {
        return TALLY_ENOMEM;
    }
    (void)pcre2_set_heap_limit(matcher->context, MATCH_HEAP_KIB); /* never fails */
    (void)pcre2_set_callout(matcher->context, pay_item, matcher); /* likewise */
    matcher->stack = pcre2_jit_stack_create(JIT_STACK_FIRST, JIT_STACK_MAX, general);
    int has_jit = 0;
    if (matcher->stack != NULL) {
        pcre2_jit_stack_assign(matcher->context, NULL, matcher->stack);
    } else if (pcre2_config(PCRE2_CONFIG_JIT, &has_jit) == 0 && has_jit != 0) {
        return TALLY_ENOMEM;
    }
    *matcher_out = TL_TAKE(matcher);
    return TALLY_OK;
}

void tl_policy_matcher_restart(struct tl_policy_matcher *matcher)
{
    matcher->event_work = WORK_OF_EVENT;
}

enum look {
    LOOK_NOTHING,
    LOOK_FOUND,
    LOOK_UNKNOWN, /* a limit ended it */
    LOOK_NO_MEMORY,
};

struct span {
    size_t start, end;
};

static enum look look(struct tl_policy_matcher *matcher, const struct tl_policy_regex *regex,
                      struct tl_str text, size_t from, struct span *span_out)
{
    if (!pay(matcher, WORK_OF_LOOK)) {
        return LOOK_UNKNOWN;
    }
    matcher->at = from;
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text.text, text.len, from,
                         PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, matcher->data, matcher->context);
    if (rc == PCRE2_ERROR_NOMATCH) {
        return LOOK_NOTHING;
    }
    if (rc == PCRE2_ERROR_NOMEMORY) {
        return LOOK_NO_MEMORY;
    }
    if (rc < 0) {
        return LOOK_UNKNOWN;
    }
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(matcher->data);
    *span_out = (struct span){ .start = found[0], .end = found[1] };
    /* \K moves the start, possibly to where nothing is left of the match. */
    return found[0] >= from && found[0] < found[1] ? LOOK_FOUND : LOOK_UNKNOWN;
}

static bool is_mask(struct tl_str text, size_t at)
{
    return text.len - at >= mask.len && memcmp(text.text + at, mask.text, mask.len) == 0;
}

/* Makes the span longer where it cuts a mask that is there already: masks stay whole. */
static void keep_masks(struct tl_str text, size_t from, struct span *span)
{
    size_t start = span->start;
    for (size_t at = start; at > from && start - at < mask.len - 1;) {
        if (is_mask(text, --at)) {
            span->start = at;
            break;
        }
    }
    size_t end = span->end;
    for (size_t at = end; at > span->start && end - at < mask.len - 1;) {
        if (is_mask(text, --at)) {
            span->end = at + mask.len > end ? at + mask.len : end;
            break;
        }
    }
}

/* Masks the matches of one expression; `out` is the text with them, whether there are any or not.
 * *changed_out is set if there are. */
static enum look mask_with(struct tl_policy_matcher *matcher, const struct tl_policy_regex *regex,
                           struct tl_str text, struct tl_buf *out, bool *changed_out)
{
    size_t from = 0;
    struct span span = { 0 };
    enum look found = look(matcher, regex, text, 0, &span);
    for (; found == LOOK_FOUND; found = look(matcher, regex, text, from, &span)) {
        keep_masks(text, from, &span);
        bool same = span.end - span.start == mask.len && is_mask(text, span.start);
        *changed_out = *changed_out || !same;
        tl_buf_add(out, text.text + from, span.start - from);
        tl_buf_add_str(out, mask);
        from = span.end;
        if (from == text.len) {
            return LOOK_NOTHING;
        }
    }
    tl_buf_add(out, text.text + from, text.len - from);
    return found;
}

/* Tries each expression once on the text in matcher->other, and leaves the result there. */
static enum look mask_round(const struct tl_log_policy *policy, struct tl_policy_matcher *matcher,
                            struct tl_buf *out, bool *changed_out)
{
    for (size_t i = 0; i < policy->pattern_count; i++) {
        bool changed = false;
        tl_buf_clear(out);
        struct tl_str text = tl_buf_str(&matcher->other);
        enum look found = mask_with(matcher, policy->patterns[i], text, out, &changed);
        if (found != LOOK_NOTHING) {
            return found;
        }
        if (changed) {
            *changed_out = true;
            tl_buf_clear(&matcher->other);
            tl_buf_add_str(&matcher->other, tl_buf_str(out));
        }
        if (tl_buf_status(out) != TALLY_OK || tl_buf_status(&matcher->other) != TALLY_OK) {
            return LOOK_NO_MEMORY;
        }
    }
    return LOOK_NOTHING;
}

tally_status tl_policy_mask_matches(const struct tl_log_policy *policy,
                                    struct tl_policy_matcher *matcher, struct tl_str text,
                                    struct tl_buf *out, bool *masked_out)
{
    uint64_t budget = matcher->event_work < WORK_OF_TEXT ? matcher->event_work : WORK_OF_TEXT;
    enum look found = LOOK_NOTHING;
    bool masked = false;
    bool changed = true;
    tl_assert(text.len > 0);
    matcher->text_work = budget;
    tl_buf_clear(&matcher->other);
    tl_buf_add_str(&matcher->other, text);
    for (unsigned round = 0; changed; round++) {
        changed = false;
        found = round < ROUNDS_MAX ? mask_round(policy, matcher, out, &changed) : LOOK_UNKNOWN;
        masked = masked || changed;
        changed = changed && found == LOOK_NOTHING;
    }
    matcher->event_work -= budget - matcher->text_work;
    if (found == LOOK_NO_MEMORY) {
        return TALLY_ENOMEM;
    }
    tl_buf_clear(out);
    if (found == LOOK_UNKNOWN) {
        masked = !tl_str_equal(text, mask);
    }
    if (masked) {
        tl_buf_add_str(out, found == LOOK_UNKNOWN ? mask : tl_buf_str(&matcher->other));
    }
    *masked_out = masked;
    return tl_buf_status(out);
}
