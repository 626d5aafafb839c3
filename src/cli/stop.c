#include <signal.h>

#include "cli/cli.h"

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

/* SA_RESETHAND: the second signal finds the default action, which ends the process. */
void tl_stop_install(void)
{
    struct sigaction action = { .sa_handler = stop, .sa_flags = (int)SA_RESETHAND };
    (void)sigemptyset(&action.sa_mask); /* cannot fail */
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool tl_stopped(void)
{
    return stopped != 0;
}
