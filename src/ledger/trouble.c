#include <errno.h>
#include <stdio.h>

#include "base/io.h"
#include "ledger/ledger.h"

/* Remembers `text`; true if it is another than before. */
static bool replace(struct tally_ledger *ledger, const char *text)
{
    tl_mutex_lock(&ledger->state.mu);
    bool is_new = strcmp(ledger->state.trouble, text) != 0;
    (void)snprintf(ledger->state.trouble, sizeof(ledger->state.trouble), "%s", text);
    tl_mutex_unlock(&ledger->state.mu);
    return is_new;
}

/* The file is for other processes; a disk that cannot take it shows by itself. */
void tl_trouble_note(struct tally_ledger *ledger, tally_status status,
                     const struct tally_error *error)
{
    char text[256];
    const char *name = tally_status_name(status);
    (void)snprintf(text, sizeof(text), "%s: %.200s", name, error->message);
    if (replace(ledger, text) && !ledger->paths.memory) {
        (void)tl_io_replace_file(ledger->paths.trouble, text, strlen(text), 0600, NULL);
    }
}

void tl_trouble_clear(struct tally_ledger *ledger)
{
    if (!ledger->paths.memory) {
        (void)replace(ledger, "");
        (void)tl_io->unlink(ledger->paths.trouble); /* most often it is not there */
    }
}
