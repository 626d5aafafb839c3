/* What is of the process: what a service manager tells and hears, sd_notify(3) and sd_listen_fds(3);
 * memory. */
#include "server/server.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/net.h"
#include "base/parse.h"

#define SOCKETS_FIRST 3
#define BLOCK_LARGE   (4 << 20)

/* The environment is that of the start: nobody changes it. */
static const char *variable(const char *name)
{
    return getenv(name); /* NOLINT(concurrency-mt-unsafe): see above */
}

/* Says to a service manager how it stands (sd_notify(3)); nobody may listen. */
void tl_service_notify(const char *state)
{
    const char *path = variable("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof(address.sun_path)) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = '\0'; /* the abstract name space */
    }
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    int fd = tl_net_socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd >= 0) {
        (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                     len);
        (void)close(fd);
    }
}

/* Sockets that the service manager handed over (LISTEN_PID, LISTEN_FDS). */
size_t tl_service_sockets(int *sockets, size_t max)
{
    const char *pid = variable("LISTEN_PID");
    const char *count = variable("LISTEN_FDS");
    uint64_t number = 0;
    if (pid == NULL || count == NULL ||
        tl_parse_u64(pid, strlen(pid), UINT32_MAX, &number) != TALLY_OK ||
        number != (uint64_t)getpid() ||
        tl_parse_u64(count, strlen(count), max, &number) != TALLY_OK) {
        return 0;
    }
    for (size_t i = 0; i < number; i++) {
        sockets[i] = SOCKETS_FIRST + (int)i;
    }
    return (size_t)number;
}

/* glibc keeps blocks of up to 32 MiB for later once it has seen one of them being freed. What merging
 * segments of the index takes, now and then, would stay for ever. */
void tl_service_spare_memory(void)
{
    /* If it cannot, all stays as it was. NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void)mallopt(M_MMAP_THRESHOLD, BLOCK_LARGE);
}
